// A service with OpenTelemetry's SDK for Node.js and one of its own OTLP exporters: it makes spans of every kind, sends
// them where OTEL_EXPORTER_OTLP_ENDPOINT says, and records what the exporter was given as lines of OTLP/JSON.
//
//     node client.js json|http|grpc RECORD
'use strict';

const { appendFileSync } = require('node:fs');
const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, createTraceState, trace } = require('@opentelemetry/api');
const { JsonTraceSerializer } = require('@opentelemetry/otlp-transformer');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor, TracerProvider } = require('@opentelemetry/sdk-trace');

const N_TRACES = 20;
const EXPORTERS = {
  json: '@opentelemetry/exporter-trace-otlp-http',
  http: '@opentelemetry/exporter-trace-otlp-proto',
  grpc: '@opentelemetry/exporter-trace-otlp-grpc',
};

class Recorder {
  constructor(exporter, path) {
    this.exporter = exporter;
    this.path = path;
  }

  export(spans, done) {
    appendFileSync(this.path, Buffer.concat([JsonTraceSerializer.serializeRequest(spans), Buffer.from('\n')]));
    this.exporter.export(spans, (result) => {
      if (result.error) {
        console.error(result.error);
        process.exitCode = 1;
      }
      done(result);
    });
  }

  forceFlush() {
    return this.exporter.forceFlush();
  }

  shutdown() {
    return this.exporter.shutdown();
  }
}

function everyType(number) {
  return {
    text: 'é'.repeat(number),
    whole: number - 2 ** 31,
    real: number / 3,
    flag: number % 2 === 0,
    texts: ['a', '', 'b'],
    wholes: [-1, 0, 2 ** 53 - 1],
    reals: [0.5, -1e-300],
    flags: [true, false],
  };
}

function makeTrace(tracer, number) {
  const remote = {
    traceId: (number + 1).toString(16).padStart(32, '1'),
    spanId: (number + 1).toString(16).padStart(16, '2'),
    traceFlags: TraceFlags.SAMPLED,
    traceState: createTraceState('vendor=1,other=two'),
    isRemote: true,
  };
  const outside = trace.setSpanContext(ROOT_CONTEXT, remote);
  const options = { kind: SpanKind.SERVER, attributes: everyType(number) };
  const server = tracer.startSpan(`GET /cart/${number}`, options, outside);
  for (const kind of [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER]) {
    const links = [{ context: remote, attributes: { weight: number } }];
    const child = tracer.startSpan(`step ${kind}`, { kind, links }, trace.setSpan(outside, server));
    child.addEvent('retry', { after_s: 0.25 });
    child.setStatus({ code: SpanStatusCode.OK });
    child.end();
  }
  server.recordException(new Error('the cart is empty ∅'));
  server.setStatus({ code: SpanStatusCode.ERROR, message: 'empty' });
  server.end();
}

async function main([protocol, path]) {
  const { OTLPTraceExporter } = require(EXPORTERS[protocol]);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'node-client', 'process.pid': process.pid }),
    spanProcessors: [new BatchSpanProcessor({ exporter: new Recorder(new OTLPTraceExporter(), path) })],
  });
  const tracer = provider.getTracer('checkout', '1.2.3', { schemaUrl: 'https://opentelemetry.io/schemas/1.37.0' });
  for (let number = 0; number < N_TRACES; number++) {
    makeTrace(tracer, number);
  }
  await provider.shutdown();
}

main(process.argv.slice(2));
