// Command go is a service with OpenTelemetry's SDK for Go and its own OTLP exporter: it makes spans of every kind,
// sends them where OTEL_EXPORTER_OTLP_ENDPOINT says, and records what the exporter was given.
//
//	go http|grpc RECORD
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const nTraces = 20

// A recorder writes each message into a file, [4-byte big-endian length][OTLP], before the client sends it.
type recorder struct {
	otlptrace.Client
	file *os.File
}

func (r recorder) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	message, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
	if _, err := r.file.Write(framed); err != nil {
		return err
	}
	return r.Client.UploadTraces(ctx, spans)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	if len(os.Args) != 3 {
		return errors.New("usage: go http|grpc RECORD")
	}
	file, err := os.Create(os.Args[2])
	if err != nil {
		return err
	}
	defer file.Close()
	client := otlptracehttp.NewClient()
	if os.Args[1] == "grpc" {
		client = otlptracegrpc.NewClient()
	}
	ctx := context.Background()
	exporter, err := otlptrace.New(ctx, recorder{client, file})
	if err != nil {
		return err
	}
	described := resource.NewSchemaless(
		attribute.String("service.name", "go-client"), attribute.Int("process.pid", os.Getpid()))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	for number := range nTraces {
		makeTrace(ctx, provider, number)
	}
	return provider.Shutdown(ctx)
}

func makeTrace(ctx context.Context, provider trace.TracerProvider, number int) {
	tracer := provider.Tracer("checkout", trace.WithInstrumentationVersion("1.2.3"),
		trace.WithSchemaURL("https://opentelemetry.io/schemas/1.37.0"),
		trace.WithInstrumentationAttributes(attribute.Bool("short", true)))
	state, err := trace.ParseTraceState("vendor=1,other=two")
	if err != nil {
		log.Fatal(err)
	}
	remote := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, byte(number + 1)}, SpanID: trace.SpanID{2, byte(number + 1)},
		TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	})
	ctx, server := tracer.Start(trace.ContextWithRemoteSpanContext(ctx, remote), fmt.Sprintf("GET /cart/%d", number),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(everyType(number)...))
	kinds := []trace.SpanKind{trace.SpanKindInternal, trace.SpanKindClient, trace.SpanKindProducer, trace.SpanKindConsumer}
	for _, kind := range kinds {
		_, child := tracer.Start(ctx, "step "+kind.String(), trace.WithSpanKind(kind),
			trace.WithLinks(trace.Link{SpanContext: remote, Attributes: []attribute.KeyValue{attribute.Int("weight", number)}}))
		child.AddEvent("retry", trace.WithAttributes(attribute.Float64("after_s", 0.25)), trace.WithTimestamp(time.Now()))
		child.SetStatus(codes.Ok, "")
		child.End()
	}
	server.RecordError(errors.New("the cart is empty \u2205"))
	server.SetStatus(codes.Error, "empty")
	server.End()
}

func everyType(number int) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("text", strings.Repeat("é", number)),
		attribute.Int64("whole", int64(number)-1<<53),
		attribute.Float64("real", float64(number)/3),
		attribute.Bool("flag", number%2 == 0),
		attribute.StringSlice("texts", []string{"a", "", "b"}),
		attribute.Int64Slice("wholes", []int64{-1, 0, 1 << 62}),
		attribute.Float64Slice("reals", []float64{0.5, -1e300}),
		attribute.BoolSlice("flags", []bool{true, false}),
	}
}
