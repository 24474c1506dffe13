package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"llmproxy/usage"
)

// What a batch adds to the sums is first stored as one row of usage_owed, and
// added to usage_hourly and usage_daily for many batches at once: before a
// question for sums, and whenever owedMost rows wait, or owedSums different
// sums: a question waits half a second for those. It is the same rows that batch
// after batch adds to, each of which costs SQLite more than all that is done
// for ten records.
const (
	owedMost = 64
	owedSums = 32768
)

// owedVersion is the first byte of a row of usage_owed.
const owedVersion = 1

// owe stores what a batch adds to the sums by the hour.
func (s *usageSQLite) owe(x tx, hours []*usageSum) error {
	if len(hours) == 0 {
		return nil
	}
	s.owed = append(s.owed[:0], owedVersion)
	for _, sum := range hours {
		s.owed = appendSum(s.owed, sum)
		s.owing[sum.usageKey] = struct{}{}
	}
	var id int64
	if err := readOne(x, []any{&id}, "INSERT INTO usage_owed (sums) VALUES ($1) RETURNING id", s.owed); err != nil {
		return err
	}
	if id%owedMost != 0 && len(s.owing) < owedSums {
		return nil
	}
	return s.settle(x)
}

// settled sees that nothing is owed to the sums that was stored before.
func (s *usageSQLite) settled(ctx context.Context) error {
	owing := false
	err := s.view(ctx, asking, func(x tx) error {
		return readOne(x, []any{&owing}, "SELECT EXISTS (SELECT 1 FROM usage_owed)")
	})
	if err != nil || !owing {
		return err
	}
	return s.update(ctx, asking, s.settle)
}

// settle adds to the sums what is owed to them.
func (s *usageSQLite) settle(x tx) error {
	owed, err := readOwed(x, func(err error) {
		s.log.Error("sums of usage are damaged: a batch is missing in them", "error", err)
	})
	if err != nil {
		return err
	}
	if err := s.upsert(x, byHour, owed.byHour()); err != nil {
		return err
	}
	if err := s.upsert(x, byDay, owed.byDay()); err != nil {
		return err
	}
	clear(s.owing)
	_, err = x.exec("DELETE FROM usage_owed")
	return err
}

// readOwed adds up what is in no sum yet. A row that cannot be read is left out,
// and damaged is told why.
func readOwed(x tx, damaged func(error)) (*usageSums, error) {
	found, err := x.query("SELECT sums FROM usage_owed")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	owed := newUsageSums()
	for found.Next() {
		var b []byte
		if err := found.Scan(&b); err != nil {
			return nil, err
		}
		if err := owed.addOwed(b); err != nil {
			damaged(err)
		}
	}
	return owed, found.Err()
}

// appendSum writes a sum behind dst.
func appendSum(dst []byte, sum *usageSum) []byte {
	dst = binary.AppendVarint(dst, sum.from)
	dst = binary.AppendVarint(dst, sum.keyID)
	dst = append(dst, byte(sum.outcome))
	for _, text := range [...]string{sum.name, sum.endpoint, sum.model, sum.provider} {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	for _, n := range sum.numbers() {
		dst = binary.AppendVarint(dst, n)
	}
	return dst
}

var errOwed = errors.New("sums of usage cannot be read")

// addOwed adds what owe wrote: all of it, or after an error nothing.
func (s *usageSums) addOwed(b []byte) error {
	if len(b) == 0 || b[0] != owedVersion {
		return fmt.Errorf("%w: another version's", errOwed)
	}
	d, all := sumDecoder{rest: b[1:]}, []usageSum(nil)
	for len(d.rest) > 0 {
		sum := d.sum()
		if d.bad {
			return errOwed
		}
		all = append(all, sum)
	}
	for i := range all {
		s.find(&all[i].usageKey).add(&all[i].UsageTotals)
	}
	return nil
}

// sumDecoder reads what appendSum wrote.
type sumDecoder struct {
	rest []byte
	bad  bool
}

func (d *sumDecoder) sum() usageSum {
	k := usageKey{from: d.varint(), keyID: d.varint(), outcome: d.outcome()}
	for _, to := range [...]*string{&k.name, &k.endpoint, &k.model, &k.provider} {
		*to = d.text()
	}
	var t UsageTotals
	var duration, ttft int64
	for _, to := range [...]*int64{
		&t.Requests, &t.Errors, &t.Prompt, &t.Completion, &t.Cached, &t.Reasoning, &t.CostMicroUSD, &duration, &ttft, &t.TTFTRequests,
	} {
		*to = d.varint()
	}
	t.Duration, t.TTFT = time.Duration(duration)*time.Microsecond, time.Duration(ttft)*time.Microsecond
	return usageSum{usageKey: k, UsageTotals: t}
}

func (d *sumDecoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *sumDecoder) outcome() usage.Outcome {
	if len(d.rest) == 0 || d.rest[0] > byte(usage.Cancelled) {
		d.bad, d.rest = true, nil
		return 0
	}
	o := usage.Outcome(d.rest[0])
	d.rest = d.rest[1:]
	return o
}

func (d *sumDecoder) text() string {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(len(d.rest)-size) {
		d.bad, d.rest = true, nil
		return ""
	}
	text := string(d.rest[size : size+int(n)])
	d.rest = d.rest[size+int(n):]
	return text
}
