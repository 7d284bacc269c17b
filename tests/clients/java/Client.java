import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.internal.otlp.traces.TraceRequestMarshaler;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Collection;
import java.util.concurrent.TimeUnit;

/**
 * A service with OpenTelemetry's SDK for Java and its own OTLP exporter: it makes spans of every kind, sends them where
 * OTEL_EXPORTER_OTLP_ENDPOINT says, and records what the exporter was given as [4-byte big-endian length][OTLP].
 *
 * <p>Client http|grpc RECORD
 */
public final class Client {
  private static final int N_TRACES = 20;

  public static void main(String[] arguments) throws IOException {
    Attributes described = Attributes.builder()
        .put("service.name", "java-client").put("process.pid", ProcessHandle.current().pid()).build();
    try (DataOutputStream file = new DataOutputStream(new FileOutputStream(arguments[1]))) {
      Recorder recorder = new Recorder(exporter(arguments[0]), file);
      SdkTracerProvider provider = SdkTracerProvider.builder()
          .setResource(Resource.create(described, "https://opentelemetry.io/schemas/1.36.0"))
          .addSpanProcessor(BatchSpanProcessor.builder(recorder).build()).build();
      Tracer tracer = provider.tracerBuilder("checkout").setInstrumentationVersion("1.2.3")
          .setSchemaUrl("https://opentelemetry.io/schemas/1.37.0").build();
      for (int number = 0; number < N_TRACES; number++) {
        makeTrace(tracer, number);
      }
      provider.shutdown().join(30, TimeUnit.SECONDS);
      System.exit(recorder.failed ? 1 : 0);
    }
  }

  private static SpanExporter exporter(String protocol) {
    String endpoint = System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    String compression = System.getenv().getOrDefault("OTEL_EXPORTER_OTLP_COMPRESSION", "none");
    return protocol.equals("grpc")
        ? OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).setCompression(compression).build()
        : OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").setCompression(compression).build();
  }

  private static void makeTrace(Tracer tracer, int number) {
    TraceState state = TraceState.builder().put("vendor", "1").put("other", "two").build();
    SpanContext remote = SpanContext.createFromRemoteParent(
        String.format("%032x", number + 1), String.format("%016x", number + 1), TraceFlags.getSampled(), state);
    Context outside = Context.root().with(Span.wrap(remote));
    Span server = tracer.spanBuilder("GET /cart/" + number).setParent(outside).setSpanKind(SpanKind.SERVER)
        .setAllAttributes(everyType(number)).startSpan();
    for (SpanKind kind : new SpanKind[] {SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER}) {
      Span child = tracer.spanBuilder("step " + kind).setParent(outside.with(server)).setSpanKind(kind)
          .addLink(remote, Attributes.of(AttributeKey.longKey("weight"), (long) number)).startSpan();
      child.addEvent("retry", Attributes.of(AttributeKey.doubleKey("after_s"), 0.25));
      child.setStatus(StatusCode.OK);
      child.end();
    }
    server.recordException(new IllegalStateException("the cart is empty \u2205"));
    server.setStatus(StatusCode.ERROR, "empty");
    server.end();
  }

  private static Attributes everyType(int number) {
    return Attributes.builder()
        .put("text", "é".repeat(number)).put("whole", number - (1L << 62)).put("real", number / 3.0)
        .put("flag", number % 2 == 0).put("texts", "a", "", "b").put("wholes", -1L, 0L, 1L << 62)
        .put("reals", 0.5, -1e300).put("flags", true, false).build();
  }

  /** Writes each batch down before the exporter gets it. */
  private static final class Recorder implements SpanExporter {
    private final SpanExporter exporter;
    private final DataOutputStream file;
    private volatile boolean failed;

    Recorder(SpanExporter exporter, DataOutputStream file) {
      this.exporter = exporter;
      this.file = file;
    }

    @Override
    public CompletableResultCode export(Collection<SpanData> spans) {
      TraceRequestMarshaler message = TraceRequestMarshaler.create(spans);
      try {
        file.writeInt(message.getBinarySerializedSize());
        message.writeBinaryTo(file);
      } catch (IOException problem) {
        throw new UncheckedIOException(problem);
      }
      CompletableResultCode result = exporter.export(spans);
      result.whenComplete(() -> failed |= !result.isSuccess());
      return result;
    }

    @Override
    public CompletableResultCode flush() {
      return exporter.flush();
    }

    @Override
    public CompletableResultCode shutdown() {
      return exporter.shutdown();
    }
  }
}
