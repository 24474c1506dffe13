package store

import (
	"slices"
	"time"

	"llmproxy/usage"
)

// usageBatch is a batch on its way into the database.
type usageBatch struct {
	usage.Batch
	oldest int64 // records that arrived before, in Unix microseconds, are not kept
	kept   int
	days   []time.Time // that kept records are of
	sums   *usageSums
	groups []*usageSum // of each record: the sum that it counts in; nil: it is too old for any
}

// takeBatch looks at each record once. Those from oldest on are kept, those
// from counted on are in the sums.
func takeBatch(b usage.Batch, oldest, counted time.Time) *usageBatch {
	t := &usageBatch{Batch: b, oldest: oldest.UnixMicro(), sums: newUsageSums(), groups: make([]*usageSum, len(b.Records))}
	from, last := counted.Unix(), time.Time{}
	for i := range b.Records {
		r := &b.Records[i]
		if r.At.Unix() >= from {
			t.groups[i] = t.sums.count(r)
		}
		if !t.keeps(r) {
			continue
		}
		t.kept++
		if d := day(r.At); !d.Equal(last) && !slices.Contains(t.days, d) {
			t.days = append(t.days, d)
			last = d
		}
	}
	return t
}

// keeps reports whether a record is young enough.
func (t *usageBatch) keeps(r *usage.Record) bool { return r.At.UnixMicro() >= t.oldest }

// records are those that are kept.
func (t *usageBatch) records() []usage.Record {
	if t.kept == len(t.Records) {
		return t.Records
	}
	return slices.DeleteFunc(slices.Clone(t.Records), func(r usage.Record) bool { return !t.keeps(&r) })
}

// encoded are all records, as the journal has them.
func (t *usageBatch) encoded() []byte {
	if t.Encoded != nil {
		return t.Encoded
	}
	var b []byte
	for i := range t.Records {
		b = usage.AppendRecord(b, &t.Records[i])
	}
	return b
}
