package main

import (
	"bytes"
	"errors"
	"io"

	"github.com/splunk/stef/go/otel/oteltef"
	"github.com/splunk/stef/go/pdata/traces"
	"github.com/splunk/stef/go/pkg"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// stef writes one STEF stream with its own zstd, and ends a frame after each batch, so that it can be sent.
type stef struct {
	sink      *partWriter
	writer    *oteltef.SpansWriter
	converter traces.OtlpToStefUnsorted
}

// partWriter collects what has been written since it was last asked.
type partWriter struct{ pending []byte }

func (w *partWriter) WriteChunk(header, content []byte) error {
	w.pending = append(append(w.pending, header...), content...)
	return nil
}

func (w *partWriter) take() []byte {
	part := w.pending
	w.pending = nil
	return part
}

func newStef(isSorted bool) (*stef, error) {
	sink := &partWriter{}
	writer, err := oteltef.NewSpansWriter(sink, pkg.WriterOptions{Compression: pkg.CompressionZstd})
	return &stef{sink, writer, traces.OtlpToStefUnsorted{Sorted: isSorted}}, err
}

func (s *stef) encode(batch ptrace.Traces) ([]byte, error) {
	if err := s.converter.Convert(batch, s.writer); err != nil {
		return nil, err
	}
	err := s.writer.Flush()
	return s.sink.take(), err
}

func (s *stef) decode(parts [][]byte, visit func(spanKey)) (int, error) {
	reader, err := oteltef.NewSpansReader(bytes.NewReader(bytes.Join(parts, nil)))
	if err != nil {
		return 0, err
	}
	for {
		err := reader.Read(pkg.ReadOptions{})
		if errors.Is(err, io.EOF) {
			return int(reader.RecordCount()), nil
		}
		if err != nil {
			return 0, err
		}
		if visit != nil {
			visit(stefKey(reader.Record.Span()))
		}
	}
}

// stefKey: the module's converter stores ids as hexadecimal text.
func stefKey(span *oteltef.Span) spanKey {
	return spanKey{
		string(span.TraceID()), string(span.SpanID()), string(span.ParentSpanID()), span.Name(),
		span.StartTimeUnixNano(), span.EndTimeUnixNano(), span.Attributes().Len(), span.Events().Len(),
	}
}
