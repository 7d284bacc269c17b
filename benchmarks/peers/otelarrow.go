package main

import (
	"github.com/klauspost/compress/zstd"
	arrowpb "github.com/open-telemetry/otel-arrow/go/api/experimental/arrow/v1"
	"github.com/open-telemetry/otel-arrow/go/pkg/config"
	"github.com/open-telemetry/otel-arrow/go/pkg/otel/arrow_record"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"
)

// otelArrow writes one stream of BatchArrowRecords, each compressed with zstd as gRPC would, and not inside Arrow.
type otelArrow struct {
	producer *arrow_record.Producer
	zstd     *zstd.Encoder
}

func newOtelArrow() *otelArrow {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return &otelArrow{arrow_record.NewProducerWithOptions(config.WithNoZstd()), encoder}
}

func (o *otelArrow) encode(batch ptrace.Traces) ([]byte, error) {
	records, err := o.producer.BatchArrowRecordsFromTraces(batch)
	if err != nil {
		return nil, err
	}
	message, err := proto.Marshal(records)
	if err != nil {
		return nil, err
	}
	return o.zstd.EncodeAll(message, nil), nil
}

func (o *otelArrow) decode(parts [][]byte, visit func(spanKey)) (int, error) {
	reader, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	consumer := arrow_record.NewConsumer()
	defer consumer.Close()
	nSpans := 0
	for _, part := range parts {
		batches, err := decodePart(consumer, reader, part)
		if err != nil {
			return nSpans, err
		}
		for _, batch := range batches {
			nSpans += batch.SpanCount()
			if visit != nil {
				keysOf(batch, visit)
			}
		}
	}
	return nSpans, nil
}

func decodePart(consumer *arrow_record.Consumer, reader *zstd.Decoder, part []byte) ([]ptrace.Traces, error) {
	message, err := reader.DecodeAll(part, nil)
	if err != nil {
		return nil, err
	}
	var records arrowpb.BatchArrowRecords
	if err := proto.Unmarshal(message, &records); err != nil {
		return nil, err
	}
	return consumer.TracesFrom(&records)
}
