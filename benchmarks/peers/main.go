// Command peers measures one trace codec that exists as a Go module on a file of length-prefixed OTLP messages.
//
//	peers CODEC FILE REPEAT
//
// It reads [4-byte big-endian length][ExportTraceServiceRequest], repeated, encodes each message as one batch of a
// stream, decodes that stream, checks what came back, and prints one JSON object: sizes in bytes, CPU seconds of this
// process (all threads, the garbage collector's included), the best of REPEAT runs, and peak memory.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"
)

// A codec encodes batches as one stream; each part can be decoded when it and those before it have arrived.
type codec interface {
	encode(batch ptrace.Traces) ([]byte, error)
	// decode gives every span to visit, which is nil where only the time matters.
	decode(parts [][]byte, visit func(spanKey)) (nSpans int, err error)
}

var codecs = map[string]func() (codec, error){
	"stef":        func() (codec, error) { return newStef(false) },
	"stef-sorted": func() (codec, error) { return newStef(true) },
	"otel-arrow":  func() (codec, error) { return newOtelArrow(), nil },
}

func main() {
	if len(os.Args) != 4 {
		fail(errors.New("usage: peers CODEC FILE REPEAT"))
	}
	create, known := codecs[os.Args[1]]
	repeat, err := strconv.Atoi(os.Args[3])
	if !known || err != nil || repeat < 1 {
		fail(fmt.Errorf("no codec %q, or no number of runs %q", os.Args[1], os.Args[3]))
	}
	messages, err := readMessages(os.Args[2])
	if err != nil {
		fail(err)
	}
	result, err := measureOrSayWhy(create, messages, repeat)
	if err != nil {
		fail(err)
	}
	result.Codec, result.Versions = os.Args[1], versions()
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fail(err)
	}
}

// measureOrSayWhy makes an error of a codec's panic, which is how OTel-Arrow refuses a batch that is too large for it.
func measureOrSayWhy(create func() (codec, error), messages [][]byte, repeat int) (r *result, err error) {
	defer func() {
		if said := recover(); said != nil {
			err = fmt.Errorf("refused: %v", said)
		}
	}()
	return measure(create, messages, repeat)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peers:", strings.ReplaceAll(err.Error(), "\n", " "))
	os.Exit(1)
}

// readMessages maps the file: on Go's heap it would make the garbage collector wait for twice its size.
func readMessages(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	status, err := file.Stat()
	if err != nil || status.Size() == 0 {
		return nil, err
	}
	flags := unix.MAP_PRIVATE | unix.MAP_POPULATE
	data, err := unix.Mmap(int(file.Fd()), 0, int(status.Size()), unix.PROT_READ, flags)
	if err != nil {
		return nil, err
	}
	return splitMessages(data)
}

func splitMessages(data []byte) ([][]byte, error) {
	var messages [][]byte
	for len(data) > 0 {
		if len(data) < 4 || len(data)-4 < int(binary.BigEndian.Uint32(data)) {
			return nil, errors.New("the file is cut short")
		}
		end := 4 + int(binary.BigEndian.Uint32(data))
		messages = append(messages, data[4:end])
		data = data[end:]
	}
	return messages, nil
}

// versions names what is under measurement, as this program was built.
func versions() map[string]string {
	found := map[string]string{"go": runtime.Version()}
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.Contains(module.Path, "splunk/stef") || strings.Contains(module.Path, "otel-arrow") {
			found[module.Path] = module.Version
		}
	}
	return found
}

// A spanKey is what is compared of a span: enough to see that it came back, whatever the order.
type spanKey struct {
	traceID, spanID, parentID, name string
	start, end                      uint64
	nAttributes, nEvents            int
}

func keysOf(batch ptrace.Traces, visit func(spanKey)) {
	for _, resource := range batch.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				visit(spanKey{
					span.TraceID().String(), span.SpanID().String(), span.ParentSpanID().String(), span.Name(),
					uint64(span.StartTimestamp()), uint64(span.EndTimestamp()), span.Attributes().Len(), span.Events().Len(),
				})
			}
		}
	}
}

// sortedKeys collects keys in an order of their own, so that two sets of spans can be compared.
type sortedKeys struct{ lines []string }

func (k *sortedKeys) add(key spanKey) { k.lines = append(k.lines, fmt.Sprint(key)) }

func (k *sortedKeys) text() string {
	sort.Strings(k.lines)
	return strings.Join(k.lines, "\n")
}
