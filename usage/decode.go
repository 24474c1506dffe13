package usage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unicode/utf8"
)

var errRecord = errors.New("a usage record cannot be read")

// Encoded is a record as AppendRecord wrote it, its length before it: a view
// of whatever NextRecord was given. What it says of itself without being
// decoded is not looked at more closely than that it is there.
type Encoded []byte

// NextRecord returns the record at the beginning of b, and what follows it.
func NextRecord(b []byte) (one Encoded, rest []byte, err error) {
	if len(b) < recordLength+recordHead {
		return nil, nil, errRecord
	}
	size := recordLength + int(binary.LittleEndian.Uint16(b))
	if size < recordLength+recordHead || size > len(b) {
		return nil, nil, errRecord
	}
	return b[:size:size], b[size:], nil
}

// ID is the record's.
func (e Encoded) ID() uint64 { return binary.LittleEndian.Uint64(e[2:]) }

// At is when the request arrived, in Unix microseconds.
func (e Encoded) At() int64 { return int64(binary.LittleEndian.Uint64(e[10:])) }

// Outcome is the record's, or one that there is not.
func (e Encoded) Outcome() Outcome { return Outcome(e[18]) }

// Names are what else a question names: views, and empty behind what cannot be
// read.
func (e Encoded) Names() (keyID int64, endpoint, model, provider []byte) {
	d := Decoder{rest: e[recordLength+recordHead:]}
	return d.varint(), d.view(), d.view(), d.view()
}

// Decoder reads records. It keeps the names that it has seen, so that the same
// few are neither allocated nor looked at for every record. The zero value is
// ready; one goroutine uses it at a time.
type Decoder struct {
	seen  [textFields][recentNames]string // the latest names of each field, by what they look like
	names map[string]string
	rest  []byte
	bad   bool
}

const (
	textFields  = 7 // those that hold names
	recentNames = 64
	maxNames    = 4096
)

// Record reads one record. Whatever is in e, it returns an error rather than an
// odd Record. What it returns keeps nothing of e.
func (d *Decoder) Record(e Encoded, r *Record) error { return d.record(e, "", r) }

// record reads e; text is "" or e once more, which the RequestID is made a part of.
func (d *Decoder) record(e Encoded, text string, r *Record) error {
	d.rest, d.bad = e[recordLength+recordHead:], false
	r.ID, r.At = e.ID(), time.UnixMicro(e.At()).UTC()
	outcome, source, stream := e[18], e[19], e[20]
	if int(outcome) >= len(outcomes) || int(source) >= len(sources) || stream > 1 {
		return errRecord
	}
	r.Outcome, r.Source, r.Stream = Outcome(outcome), Source(source), stream == 1
	r.APIKeyID = d.varint()
	for i, to := range [textFields]*string{
		&r.Endpoint, &r.Model, &r.Provider, &r.APIKeyName, &r.UpstreamModel, &r.Phase, &r.Code,
	} {
		*to = d.name(i)
	}
	r.RequestID = d.requestID(len(e), text)
	r.Status, r.Attempts = int(d.number(999)), int(d.number(math.MaxInt16))
	for _, to := range [...]*int64{&r.Prompt, &r.Completion, &r.Cached, &r.Reasoning} {
		*to = d.number(maxTokens)
	}
	r.CostMicroUSD = d.number(math.MaxInt64)
	r.TTFT, r.Duration, r.Overhead = d.micros(), d.micros(), d.micros()
	if d.bad || len(d.rest) > 0 {
		return errRecord
	}
	return nil
}

func (d *Decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	d.skip(size)
	return n
}

func (d *Decoder) number(most int64) int64 {
	n, size := binary.Uvarint(d.rest)
	d.skip(size)
	if n > uint64(most) {
		d.bad = true
		return 0
	}
	return int64(n)
}

func (d *Decoder) micros() time.Duration {
	return time.Duration(d.number(math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
}

// view is a text of the input, whatever is in it.
func (d *Decoder) view() []byte {
	if len(d.rest) == 0 || int(d.rest[0]) >= len(d.rest) || d.rest[0] > maxText {
		d.bad, d.rest = true, nil
		return nil
	}
	n := 1 + int(d.rest[0])
	text := d.rest[1:n]
	d.rest = d.rest[n:]
	return text
}

// check sees that a text is one that could have been written.
func (d *Decoder) check(text []byte) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		d.bad = true
	}
}

// requestID reads a text that no other record has: of a record that is so long
// and is there as a string too, or of one that is not.
func (d *Decoder) requestID(whole int, record string) string {
	id := d.view()
	d.check(id)
	if record == "" {
		return string(id)
	}
	end := whole - len(d.rest)
	return record[end-len(id) : end]
}

// name reads a text that many records have. One that was seen is fit.
func (d *Decoder) name(field int) string {
	text := d.view()
	if len(text) == 0 {
		return ""
	}
	recent := &d.seen[field][looks(text)%recentNames]
	if *recent == string(text) {
		return *recent
	}
	name := d.intern(text)
	if !d.bad {
		*recent = name
	}
	return name
}

// looks tells most names apart: they differ in length or at their ends.
func looks(text []byte) uint {
	n := uint(len(text))
	return n ^ uint(text[n-1])*7 ^ uint(text[n/2])*29 ^ uint(text[0])<<3
}

func (d *Decoder) intern(text []byte) string {
	if known, ok := d.names[string(text)]; ok {
		return known
	}
	if d.check(text); d.bad {
		return ""
	}
	if d.names == nil || len(d.names) >= maxNames {
		d.names = make(map[string]string)
	}
	name := string(text)
	d.names[name] = name
	return name
}

// skip goes on behind a varint; binary says with size <= 0 that there is none.
func (d *Decoder) skip(size int) {
	if size <= 0 {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[size:]
}
