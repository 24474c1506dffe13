package store

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"llmproxy/usage"
)

// usagePage is the newest records that a question means, of the blocks that
// it was given.
type usagePage struct {
	filter     UsageFilter
	marks      []uint32
	start, end int64 // records are from start on and before end, in microseconds of Unix time
	after      place // and behind this
	most       int

	records []usage.Record // newest first
	vain    int            // blocks in a row that had nothing that is meant
	decoder usage.Decoder
	encoded []byte        // of one block
	found   []foundRecord // in it
}

// place is where a record is among others: by time, then by id.
type place struct {
	at int64
	id uint64
}

func (p place) compare(o place) int { return cmp.Or(cmp.Compare(p.at, o.at), cmp.Compare(p.id, o.id)) }

func placeOf(r *usage.Record) place { return place{r.At.UnixMicro(), r.ID} }

// foundRecord is one that is meant, in a block.
type foundRecord struct {
	place
	usage.Encoded
}

func newUsagePage(f UsageFilter, after UsageCursor, most int) *usagePage {
	p := &usagePage{filter: f, marks: wanted(f), start: math.MinInt64, end: math.MaxInt64, most: most}
	p.after = place{math.MaxInt64, math.MaxUint64}
	if !f.From.IsZero() {
		p.start = f.From.UnixMicro()
	}
	if !f.To.IsZero() {
		p.end = f.To.UnixMicro()
	}
	if !after.At.IsZero() {
		p.after = place{after.At.UnixMicro(), after.ID}
		p.end = min(p.end, p.after.at+1)
	}
	return p
}

// floor is the place that a record has to be before to come into the page.
func (p *usagePage) floor() (place, bool) {
	if len(p.records) < p.most {
		return place{}, false
	}
	return placeOf(&p.records[len(p.records)-1]), true
}

// complete reports whether no record of this time or an earlier one can come
// into the page.
func (p *usagePage) complete(lastAt int64) bool {
	floor, full := p.floor()
	return full && lastAt < floor.at
}

// mayHave reports whether there may be a record in a block that is meant.
func (p *usagePage) mayHave(b *storedBlock) bool {
	return b.lastAt >= p.start && b.firstAt < p.end && hasAll(b.marks, p.marks)
}

// take takes what is meant out of the records of a block.
func (p *usagePage) take(encoded []byte) error {
	p.found = p.found[:0]
	floor, full := p.floor()
	for len(encoded) > 0 {
		one, rest, err := usage.NextRecord(encoded)
		if err != nil {
			return err
		}
		encoded = rest
		at := place{one.At(), one.ID()}
		if at.at < p.start || at.at >= p.end || at.compare(p.after) >= 0 || full && at.compare(floor) <= 0 || !p.means(one) {
			continue
		}
		p.found = append(p.found, foundRecord{at, one})
	}
	if p.vain++; len(p.found) > 0 {
		p.vain = 0
	}
	slices.SortFunc(p.found, func(a, b foundRecord) int { return b.compare(a.place) })
	return p.merge()
}

// means reports whether the filter, its time aside, means a record.
func (p *usagePage) means(one usage.Encoded) bool {
	f := &p.filter
	if f.Outcome != "" && (one.Outcome() > usage.Cancelled || one.Outcome().String() != f.Outcome) {
		return false
	}
	if f.KeyID == nil && f.Model == "" && f.Provider == "" && f.Endpoint == "" {
		return true
	}
	key, endpoint, model, provider := one.Names()
	return (f.KeyID == nil || *f.KeyID == key) && isAt(f.Endpoint, endpoint) && isAt(f.Model, model) && isAt(f.Provider, provider)
}

func isAt(want string, got []byte) bool { return want == "" || bytes.Equal([]byte(want), got) }

// merge decodes what was found and brings it into the page.
func (p *usagePage) merge() error {
	if len(p.found) > p.most {
		p.found = p.found[:p.most]
	}
	fresh := make([]usage.Record, len(p.found))
	for i, one := range p.found {
		if err := p.decoder.Record(one.Encoded, &fresh[i]); err != nil {
			return err
		}
	}
	if n := len(p.records); n == 0 || len(fresh) > 0 && placeOf(&p.records[n-1]).compare(placeOf(&fresh[0])) > 0 {
		p.records = append(p.records, fresh...)
	} else {
		p.records = mergeNewest(p.records, fresh)
	}
	if len(p.records) > p.most {
		p.records = p.records[:p.most]
	}
	return nil
}

// mergeNewest makes one of two lists, each newest first.
func mergeNewest(a, b []usage.Record) []usage.Record {
	if len(b) == 0 {
		return a
	}
	all := make([]usage.Record, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if placeOf(&a[0]).compare(placeOf(&b[0])) >= 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}
