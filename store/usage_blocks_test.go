package store_test

import (
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"llmproxy/store"
	"llmproxy/usage"
)

// However records come into blocks, whatever their order and the blocks' size,
// and in whichever steps and of whichever filter they are asked for: what comes
// back is what a list of all of them would give.
func TestBlocksAnswerAsAListOfRecordsWould(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	shipped := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		h.edit(t, "DELETE FROM usage_blocks")
		h.edit(t, "DELETE FROM usage_packed")
		for _, sums := range []string{"usage_owed", "usage_hourly", "usage_daily"} {
			h.edit(t, "DELETE FROM "+sums)
		}
		u.CutBlocks(rapid.SampledFrom([]int{1, 2, 7, 40, 1024}).Draw(rt, "block"))
		var all []usage.Record
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			batch := drawRecords(rt, len(all))
			done, err := u.Ship(ctx(t), usage.Batch{Journal: 1, From: shipped, To: shipped + 1, Records: batch})
			if err != nil || done.Already {
				rt.Fatalf("%+v, %v", done, err)
			}
			shipped++
			all = append(all, batch...)
			if rapid.Bool().Draw(rt, "somebody asks for sums") {
				if _, err := u.Sums(ctx(t), store.UsageQuery{}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		f := drawFilter(rt)
		want := slices.DeleteFunc(slices.Clone(all), func(r usage.Record) bool { return !meant(f, r) })
		sortNewest(want)
		after, most := drawCursor(rt, all), rapid.IntRange(1, 50).Draw(rt, "page")
		if !after.At.IsZero() {
			want = slices.DeleteFunc(want, func(r usage.Record) bool {
				return cmp.Or(r.At.Compare(after.At), cmp.Compare(r.ID, after.ID)) >= 0
			})
		}
		for {
			page, err := u.Latest(ctx(t), f, after, most)
			expected := want[:min(most, len(want))]
			if err != nil || len(page) != len(expected) || len(page) > 0 && !reflect.DeepEqual(page, expected) {
				rt.Fatalf("%+v after %+v: %v\n got %+v\nwant %+v", f, after, err, page, expected)
			}
			if len(page) < most {
				return
			}
			want = want[most:]
			last := page[most-1]
			after = store.UsageCursor{At: last.At, ID: last.ID}
		}
	})
}

// drawRecords makes records of three days; many are of the same time.
func drawRecords(t *rapid.T, known int) []usage.Record {
	records := drawUsage(rapid.IntRange(0, 60).Draw(t, "records"), uint64(known+1))
	spread := rapid.SampledFrom([]int{1, 30, 3000}).Draw(t, "minutes")
	for i := range records {
		records[i].At = today().Add(-time.Duration(rapid.IntRange(0, spread).Draw(t, "ago")) * time.Minute)
	}
	return records
}

func drawFilter(t *rapid.T) store.UsageFilter {
	var f store.UsageFilter
	if rapid.Bool().Draw(t, "by key") {
		key := rapid.Int64Range(0, 4).Draw(t, "key")
		f.KeyID = &key
	}
	f.Model = rapid.SampledFrom([]string{"", "", "gpt-5", "o4-mini", "gpt"}).Draw(t, "model")
	f.Provider = rapid.SampledFrom([]string{"", "", "", "west", "nowhere"}).Draw(t, "provider")
	f.Endpoint = rapid.SampledFrom([]string{"", "", "/v1/embeddings", "/v1"}).Draw(t, "endpoint")
	f.Outcome = rapid.SampledFrom([]string{"", "", "ok", "truncated", "odd"}).Draw(t, "outcome")
	ago := rapid.Map(rapid.IntRange(-10, 3010), func(minutes int) time.Time { return today().Add(-time.Duration(minutes) * time.Minute) })
	if rapid.Bool().Draw(t, "from") {
		f.From = ago.Draw(t, "since")
	}
	if rapid.Bool().Draw(t, "to") {
		f.To = ago.Draw(t, "until")
	}
	return f
}

func drawCursor(t *rapid.T, all []usage.Record) store.UsageCursor {
	if len(all) == 0 || rapid.Bool().Draw(t, "from the newest") {
		return store.UsageCursor{}
	}
	r := rapid.SampledFrom(all).Draw(t, "cursor")
	return store.UsageCursor{At: r.At, ID: r.ID + rapid.Uint64Range(0, 1).Draw(t, "above")}
}

// Of two things that every block has, and no record together, the sums tell
// that nothing is there: no more than some blocks are unpacked. Records that
// are in no sum yet are found all the same.
func TestWhatIsNowhereIsKnownFromTheSums(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	u.CutBlocks(10)
	records := drawUsage(1000, 1)
	for i := range records {
		records[i].At = today().Add(-time.Duration(i) * time.Minute)
		records[i].Outcome, records[i].Code, records[i].Phase = usage.Complete, "", ""
		if records[i].Model == "gpt-5" && i%5 == 0 {
			records[i].Outcome = usage.Truncated
		}
	}
	ship(t, u, usage.Batch{Journal: 1, To: 1, Records: records})
	if _, err := u.Sums(ctx(t), store.UsageQuery{}); err != nil { // nothing is owed any more
		t.Fatal(err)
	}
	f := func(want int) {
		t.Helper()
		unpacked := u.Unpacked()
		got, err := u.Latest(ctx(t), store.UsageFilter{Model: "o4-mini", Outcome: "truncated"}, store.UsageCursor{}, 10)
		if err != nil || len(got) != want {
			t.Errorf("%d records, %v, want %d", len(got), err, want)
		}
		if n := u.Unpacked() - unpacked; n > 20 {
			t.Errorf("%d blocks are unpacked", n)
		}
	}
	f(0)
	late := records[900] // in an hour whose sums have nothing of it
	late.ID, late.Model, late.Outcome = 5000, "o4-mini", usage.Truncated
	ship(t, u, usage.Batch{Journal: 1, From: 1, To: 2, Records: []usage.Record{late}})
	f(1)
	if h.count(t, "usage_owed") == 0 {
		t.Error("its sum was not owed: the test shows nothing")
	}
}

// A gateway of few requests, each of which is a batch, ends with few blocks: of
// two thousand records, two that are nearly full and some at the end.
func TestBlocksOfQuietTimesArePutTogether(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	const n = 500
	u.CutBlocks(128)
	records := drawUsage(n, 1)
	for i := range records {
		records[i].At = today().Add(time.Duration(i) * time.Second)
		ship(t, u, usage.Batch{Journal: 1, From: int64(i), To: int64(i + 1), Records: records[i : i+1]})
	}
	sortNewest(records)
	if got, err := u.Latest(ctx(t), store.UsageFilter{}, store.UsageCursor{}, n+1); err != nil || !reflect.DeepEqual(got, records) {
		t.Errorf("%d records come back, %v", len(got), err)
	}
	if blocks, packed := h.count(t, "usage_blocks"), h.count(t, "usage_packed"); blocks > n/64+8 || packed != blocks {
		t.Errorf("%d blocks, %d packed", blocks, packed)
	}
	var most, least int
	if err := h.hand.QueryRow("SELECT max(records), sum(records) FROM usage_blocks").Scan(&most, &least); err != nil || most > 128 || least != n {
		t.Errorf("%d records in a block, %d in all, %v", most, least, err)
	}
}

// Blocks that are damaged, or gone, cost the records in them and nothing else:
// the others come back, and more can be stored. Each is counted.
func TestADamagedBlockCostsItsOwnRecords(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	u.CutBlocks(10)
	records := drawUsage(95, 1)
	for i := range records {
		records[i].At = today().Add(time.Duration(i) * time.Second)
	}
	ship(t, u, usage.Batch{Journal: 1, To: 1, Records: records})
	// The second, the fifth and the last, which further records would join.
	h.edit(t, "UPDATE usage_packed SET packed = CAST(substr(packed, 1, length(packed) - 1) || x'00ff' AS BLOB) WHERE id IN (2, 10)")
	h.edit(t, "DELETE FROM usage_packed WHERE id = 5")
	more := drawUsage(3, 200)
	for i := range more {
		more[i].At = today().Add(200 * time.Second)
	}
	ship(t, u, usage.Batch{Journal: 1, From: 1, To: 2, Records: more})

	want := slices.Concat(records[:10], records[20:40], records[50:90], more)
	sortNewest(want)
	for range 2 {
		got, err := u.Latest(ctx(t), store.UsageFilter{}, store.UsageCursor{}, 1000)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d records, %v, want %d", len(got), err, len(want))
		}
	}
	if n := u.Damaged(); n != 3 {
		t.Errorf("%d blocks are counted as damaged", n)
	}
}

// What a batch adds to the sums waits beside them, for many at once. Whoever
// asks sees it, also a process that comes after one that was killed.
func TestOwedSumsAreSeenByWhoeverAsks(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	const batches = 100
	for i := range batches {
		ship(t, u, usage.Batch{Journal: 1, From: int64(i), To: int64(i + 1), Records: drawUsage(2, uint64(2*i+1))})
	}
	if rows, owed := h.count(t, "usage_hourly"), h.count(t, "usage_owed"); rows == 0 || owed == 0 || owed >= 64 {
		t.Errorf("%d sums by the hour, %d batches owed", rows, owed)
	}
	next := store.OpenUsage(h.openBare(t), store.UsageOptions{Dir: h.options.Dir})
	t.Cleanup(next.Close)
	if spent, err := next.Spent(ctx(t), time.Time{}); err != nil || len(spent) != 3 {
		t.Errorf("spent: %v, %v", spent, err)
	}
	for _, who := range []*store.Usage{u, next} {
		for _, by := range []string{"hour", "day"} {
			rows, err := who.Sums(ctx(t), store.UsageQuery{GroupBy: []string{by, "endpoint"}})
			n := int64(0)
			for _, r := range rows {
				n += r.Requests
			}
			if err != nil || n != 2*batches {
				t.Errorf("by %s: %d requests, %v", by, n, err)
			}
		}
	}
	if owed := h.count(t, "usage_owed"); owed != 0 {
		t.Errorf("%d batches are owed after a question", owed)
	}
}

// Whoever adds owed sums of a batch that is damaged goes on with the others.
func TestDamagedOwedSumsCostTheirBatch(t *testing.T) {
	h := sqliteHome(t)
	u := h.usage(t, 30)
	for i := range 3 {
		ship(t, u, usage.Batch{Journal: 1, From: int64(i), To: int64(i + 1), Records: drawUsage(10, uint64(10*i+1))})
	}
	h.edit(t, "UPDATE usage_owed SET sums = substr(sums, 1, length(sums) - 1) WHERE id = 2")
	sums, err := u.Sums(ctx(t), store.UsageQuery{})
	if err != nil || sums[0].Requests != 20 {
		t.Errorf("%+v, %v", sums, err)
	}
}
