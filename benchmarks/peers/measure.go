package main

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"
)

type result struct {
	Codec       string            `json:"codec"`
	Versions    map[string]string `json:"versions"`
	NSpans      int               `json:"n_spans"`
	RawBytes    int               `json:"raw_bytes"`
	StoredBytes int               `json:"stored_bytes"`
	UnmarshalS  float64           `json:"unmarshal_s"` // OTLP bytes to the objects that the codec takes
	EncodeS     float64           `json:"encode_s"`    // those objects to stored bytes
	DecodeS     float64           `json:"decode_s"`    // stored bytes to the codec's own objects, not to OTLP
	CompressMem int64             `json:"compress_peak_bytes"`
	DecodeMem   int64             `json:"decompress_peak_bytes"`
}

var errNotExact = errors.New("the decoded spans are not those that went in")

func measure(create func() (codec, error), messages [][]byte, repeat int) (*result, error) {
	measured, parts, err := encodeOnce(create, messages)
	if err != nil {
		return nil, err
	}
	if err := verify(create, messages, parts); err != nil {
		return nil, err
	}
	for run := 0; run < repeat; run++ {
		if err := measured.again(create, messages, parts, run == 0); err != nil {
			return nil, err
		}
	}
	return measured, nil
}

// again runs everything once more and keeps the better times.
func (r *result) again(create func() (codec, error), messages, parts [][]byte, isFirst bool) error {
	runtime.GC()
	once, _, err := encodeOnce(create, messages)
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	if once.DecodeS, once.DecodeMem, err = decodeOnce(create, parts); err != nil {
		return err
	}
	if r.UnmarshalS+r.EncodeS > once.UnmarshalS+once.EncodeS {
		r.UnmarshalS, r.EncodeS = once.UnmarshalS, once.EncodeS
	}
	if isFirst {
		r.DecodeMem = once.DecodeMem
	}
	if isFirst || r.DecodeS > once.DecodeS {
		r.DecodeS = once.DecodeS
	}
	return nil
}

func encodeOnce(create func() (codec, error), messages [][]byte) (*result, [][]byte, error) {
	encoder, err := create()
	if err != nil {
		return nil, nil, err
	}
	measured := &result{}
	before := resetPeak()
	var parts [][]byte
	var unmarshaler ptrace.ProtoUnmarshaler
	for _, message := range messages {
		start := cpuSeconds()
		batch, err := unmarshaler.UnmarshalTraces(message)
		if err != nil {
			return nil, nil, err
		}
		middle := cpuSeconds()
		measured.NSpans += batch.SpanCount()
		part, err := encoder.encode(batch)
		if err != nil {
			return nil, nil, err
		}
		measured.UnmarshalS += middle - start
		measured.EncodeS += cpuSeconds() - middle
		measured.RawBytes += len(message)
		measured.StoredBytes += len(part)
		parts = append(parts, part)
	}
	measured.CompressMem = peak() - before
	return measured, parts, nil
}

func decodeOnce(create func() (codec, error), parts [][]byte) (seconds float64, peakBytes int64, err error) {
	decoder, err := create()
	if err != nil {
		return 0, 0, err
	}
	before := resetPeak()
	start := cpuSeconds()
	_, err = decoder.decode(parts, nil)
	return cpuSeconds() - start, peak() - before, err
}

func verify(create func() (codec, error), messages, parts [][]byte) error {
	decoder, err := create()
	if err != nil {
		return err
	}
	var restored, original sortedKeys
	if _, err := decoder.decode(parts, restored.add); err != nil {
		return err
	}
	var unmarshaler ptrace.ProtoUnmarshaler
	for _, message := range messages {
		batch, err := unmarshaler.UnmarshalTraces(message)
		if err != nil {
			return err
		}
		keysOf(batch, original.add)
	}
	if restored.text() != original.text() {
		return errNotExact
	}
	return nil
}

func cpuSeconds() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return float64(now.Sec) + float64(now.Nsec)/1e9
}

// resetPeak forgets the highest memory use so far and says what is in use now.
func resetPeak() int64 {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	return procStatus("VmRSS")
}

func peak() int64 { return procStatus("VmHWM") }

func procStatus(name string) int64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), name+":")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, _ := strconv.ParseInt(number, 10, 64)
	return kib << 10
}
