package metrics

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pieces keeps every Write as it came.
type pieces []string

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, string(b))
	return len(b), nil
}

// A page comes in pieces of bounded size, none of which ends within a histogram.
func TestPageComesInPieces(t *testing.T) {
	r := fleet(5, 20, 10)
	var got pieces
	n, err := r.WriteTo(&got)
	if err != nil || len(got) < 20 {
		t.Fatalf("%d pieces, %v", len(got), err)
	}
	for i, piece := range got {
		if len(piece) > pieceBytes+mostLines || i < len(got)-2 && len(piece) < pieceBytes {
			t.Errorf("piece %d has %d bytes", i, len(piece))
		}
		last := piece[strings.LastIndexByte(piece[:len(piece)-1], '\n')+1:]
		if !strings.HasSuffix(piece, "\n") || strings.Contains(last, "_bucket{") || strings.Contains(last, "_sum{") {
			t.Errorf("piece %d ends within a histogram: %q", i, last)
		}
	}
	if n != int64(len(strings.Join(got, ""))) {
		t.Errorf("%d bytes are said to be written", n)
	}
}

// Wherever a page is divided, it is the same page, byte for byte.
func TestPiecesAreThePage(t *testing.T) {
	r := sampleRegistry()
	inPieces := func(piece int) string {
		var b strings.Builder
		p := newPage(&b)
		p.piece = piece
		s := r.gather()
		s.write(&p, r)
		p.flush()
		return b.String()
	}
	whole := inPieces(1 << 30)
	rapid.Check(t, func(t *rapid.T) {
		if got := inPieces(rapid.IntRange(0, 1<<14).Draw(t, "piece")); got != whole {
			t.Fatal(firstDifference(got, whole))
		}
	})
}

// A writer that broke is written to no more, and the rest of the page is not
// printed for nobody; what was to vanish with this page is shown by the next.
func TestBrokenPageIsNotGoneOnWith(t *testing.T) {
	r := fleet(5, 20, 10)
	r.Forget(Live{})
	before := r.series.Load()
	w := &breaksAfter{pieces: 3}
	n, err := r.WriteTo(w)
	if !errors.Is(err, errBroken) || w.writes != 4 || n < 3*pieceBytes || n > 4*(pieceBytes+mostLines) {
		t.Errorf("%d writes, %d bytes, %v", w.writes, n, err)
	}
	if now := r.series.Load(); now != before {
		t.Errorf("%d of %d series are left", now, before)
	}
	if page := scrape(t, r); strings.Count(page, `llm_proxy_requests_total{`) != 1000 {
		t.Errorf("the next page has not what the broken one was to show last")
	}
	if page := scrape(t, r); strings.Contains(page, `llm_proxy_requests_total{`) {
		t.Errorf("what was shown by a whole page is still there")
	}
}

var errBroken = errors.New("broken")

// breaksAfter fails when it has taken so many pieces.
type breaksAfter struct{ pieces, writes int }

func (w *breaksAfter) Write(b []byte) (int, error) {
	if w.writes++; w.writes > w.pieces {
		return 0, errBroken
	}
	return len(b), nil
}
