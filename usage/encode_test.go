package usage

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// drawRecord makes a record as odd as clients and providers can make one.
func drawRecord(t *rapid.T) Record {
	text := rapid.OneOf(rapid.String(), rapid.StringN(0, 300, -1), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	number := rapid.Int64()
	took := rapid.Map(number, func(n int64) time.Duration { return time.Duration(n) })
	return Record{
		ID: rapid.Uint64().Draw(t, "id"), RequestID: text.Draw(t, "request"), At: time.UnixMicro(rapid.Int64Range(-1<<52, 1<<52).Draw(t, "at")),
		APIKeyID: number.Draw(t, "key"), APIKeyName: text.Draw(t, "name"), Endpoint: text.Draw(t, "endpoint"),
		Model: text.Draw(t, "model"), UpstreamModel: text.Draw(t, "upstream"), Provider: text.Draw(t, "provider"),
		Phase: text.Draw(t, "phase"), Code: text.Draw(t, "code"),
		Status: int(number.Draw(t, "status")), Stream: rapid.Bool().Draw(t, "stream"), Attempts: int(number.Draw(t, "attempts")),
		Outcome: Outcome(rapid.IntRange(0, len(outcomes)-1).Draw(t, "outcome")), Source: Source(rapid.IntRange(0, len(sources)-1).Draw(t, "source")),
		Prompt: number.Draw(t, "prompt"), Completion: number.Draw(t, "completion"), Cached: number.Draw(t, "cached"), Reasoning: number.Draw(t, "reasoning"),
		CostMicroUSD: number.Draw(t, "cost"), TTFT: took.Draw(t, "ttft"), Duration: took.Draw(t, "duration"), Overhead: took.Draw(t, "overhead"),
	}
}

// Whatever is recorded comes back as a record that a database takes, and a
// record that a database takes comes back as it was.
func TestRecordsComeBackFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		written := AppendRecord(nil, &r)
		if len(written) > 2<<10 {
			t.Fatalf("%d bytes", len(written))
		}
		var d Decoder
		var once, twice Record
		one, rest, err := NextRecord(append(written, "rest"...))
		if err != nil || string(rest) != "rest" {
			t.Fatalf("%v, rest %q", err, rest)
		}
		if err := d.Record(one, &once); err != nil {
			t.Fatal(err)
		}
		key, endpoint, model, provider := one.Names()
		if one.ID() != r.ID || !time.UnixMicro(one.At()).Equal(r.At) || one.Outcome() != r.Outcome || key != r.APIKeyID ||
			string(endpoint) != once.Endpoint || string(model) != once.Model || string(provider) != once.Provider {
			t.Fatalf("undecoded it says something else than %+v", once)
		}
		for _, text := range []string{once.RequestID, once.APIKeyName, once.Endpoint, once.Model, once.UpstreamModel, once.Provider, once.Phase, once.Code} {
			if len(text) > maxText || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Fatalf("text %q", text)
			}
		}
		for _, n := range []int64{int64(once.Status), int64(once.Attempts), once.Prompt, once.Completion, once.Cached, once.Reasoning, once.CostMicroUSD, int64(once.TTFT), int64(once.Duration), int64(once.Overhead)} {
			if n < 0 {
				t.Fatalf("a number below 0 in %+v", once)
			}
		}
		if once.Prompt > math.MaxInt32 || once.Status > 999 || once.Overhead.Microseconds() > math.MaxInt32 {
			t.Fatalf("too large for its column: %+v", once)
		}
		if err := d.Record(AppendRecord(nil, &once), &twice); err != nil || !reflect.DeepEqual(once, twice) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, twice, once)
		}
	})
}

// sample is a record as most are.
func sample(n int) Record {
	return Record{
		RequestID: "req-0b6f4b0e-7a36-4b8f-9d4d-" + string(rune('a'+n%26)), At: time.UnixMicro(1_790_000_000_000_000 + int64(n)),
		APIKeyID: 42, APIKeyName: "team-search-production", Endpoint: "/v1/chat/completions",
		Model: "gpt-5-mini", UpstreamModel: "gpt-5-mini-2026-08-07", Provider: "openai-main",
		Status: 200, Stream: true, Attempts: 1, Prompt: int64(n), Completion: 321, Cached: 1024, Reasoning: 64, Source: Upstream,
		TTFT: 312 * time.Millisecond, Duration: 4 * time.Second, Overhead: 90 * time.Microsecond, CostMicroUSD: 1234,
	}
}

// A usual record is small.
func TestARecordIsSmallOnDisk(t *testing.T) {
	r := sample(7)
	if n := len(AppendRecord(nil, &r)); n > 200 {
		t.Errorf("%d bytes", n)
	}
}

// Whatever is read, the decoder neither panics nor makes up what could not
// have been written.
func FuzzDecoder(f *testing.F) {
	r := sample(1)
	var whole frame
	whole.reset()
	whole.add(&r)
	whole.add(&Record{})
	whole.seal(7, 0, time.UnixMicro(5))
	f.Add(whole.bytes, uint16(2))
	f.Add(whole.bytes[:len(whole.bytes)-1], uint16(2))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		readHeader(b, 7, 0)
		if len(b) < frameHeader {
			return
		}
		var d Decoder
		records, encoded, err := d.records(nil, nil, b, int(n))
		if err != nil {
			return
		}
		var again frame
		again.reset()
		for i := range records {
			again.add(&records[i])
		}
		var back Decoder
		reread, _, err := back.records(nil, nil, again.bytes, again.records)
		if err != nil || !reflect.DeepEqual(records, reread) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, reread, records)
		}
		for i := range records {
			one, rest, err := NextRecord(encoded)
			if err != nil || one.ID() != records[i].ID {
				t.Fatalf("%v, record %d is not what was decoded", err, i)
			}
			encoded = rest
		}
		if len(encoded) > 0 {
			t.Fatalf("%d bytes behind the records", len(encoded))
		}
		if len(records) == 0 && !bytes.Equal(b[frameHeader:], again.bytes[frameHeader:]) {
			t.Fatalf("%q was read as nothing", b)
		}
	})
}

func BenchmarkAppendRecord(b *testing.B) {
	r := sample(3)
	var buf []byte
	for b.Loop() {
		buf = AppendRecord(buf[:0], &r)
	}
	if len(buf) == 0 {
		b.Fatal("nothing written")
	}
}

// BenchmarkReadFrame decodes what the shipper reads; an operation is a record.
func BenchmarkReadFrame(b *testing.B) {
	var f frame
	f.reset()
	for n := range 1000 {
		r := sample(n)
		r.APIKeyID = int64(n % 50)
		r.APIKeyName = "team-" + string(rune('a'+n%50)) + "-production"
		f.add(&r)
	}
	f.seal(7, 0, time.UnixMicro(5))
	var d Decoder
	var records []Record
	var encoded []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%f.records > 0 {
			continue
		}
		var err error
		if records, encoded, err = d.records(records[:0], encoded[:0], f.bytes, f.records); err != nil {
			b.Fatal(err)
		}
	}
	if len(records) != f.records || records[7].Prompt != 7 {
		b.Fatalf("%d records", len(records))
	}
}
