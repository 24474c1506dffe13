package tokens

import (
	"runtime"
	"testing"
	"time"
)

// measure reports the CPU's time besides the clock's: on a machine that does
// something else, too, it is the one to look at.
func measure(b *testing.B, size int, work func()) {
	var took time.Duration
	b.SetBytes(int64(size))
	for b.Loop() {
		took += cpuTime(work)
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(size)*float64(b.N)/1e6/took.Seconds(), "cpu-MB/s")
}

// go test ./tokens -run '^$' -bench Count -count 6
func BenchmarkCount(b *testing.B) {
	for name, text := range map[string][]byte{"prose": prose(b), "code": code(b), "chinese": chinese(b)} {
		for e := range encodings {
			want := len(oracle(b, e).EncodeOrdinary(string(text)))
			b.Run(name+"/"+e.String(), func(b *testing.B) {
				var c Counter
				b.ReportAllocs()
				measure(b, len(text), func() {
					if got := c.Count(e, text); got != want {
						b.Fatalf("%d tokens, want %d", got, want)
					}
				})
			})
		}
	}
}

// BenchmarkTiktoken is what pkoukk/tiktoken-go takes for the same.
func BenchmarkTiktoken(b *testing.B) {
	for name, text := range map[string]string{"prose": string(prose(b)), "code": string(code(b)), "chinese": string(chinese(b))} {
		for e := range encodings {
			library, want := oracle(b, e), new(Counter).Count(e, []byte(text))
			b.Run(name+"/"+e.String(), func(b *testing.B) {
				b.ReportAllocs()
				measure(b, len(text), func() {
					if got := len(library.EncodeOrdinary(text)); got != want {
						b.Fatalf("%d tokens, want %d", got, want)
					}
				})
			})
		}
	}
}

// BenchmarkHostile is a MiB of what is hard to count.
func BenchmarkHostile(b *testing.B) {
	for name, text := range hostile(1 << 20) {
		for _, e := range []Encoding{O200K, CL100K} {
			b.Run(name+"/"+e.String(), func(b *testing.B) {
				var c Counter
				want := c.Count(e, text)
				measure(b, len(text), func() {
					if got := c.Count(e, text); got != want {
						b.Fatalf("%d tokens, want %d", got, want)
					}
				})
			})
		}
	}
}

// BenchmarkLoad is what it takes to load a vocabulary, and the heap that it
// holds then.
func BenchmarkLoad(b *testing.B) {
	loadClasses()
	for e := range encodings {
		b.Run(e.String(), func(b *testing.B) {
			var before, after runtime.MemStats
			var v *vocabulary
			for b.Loop() {
				b.StopTimer()
				v = nil
				runtime.GC()
				runtime.ReadMemStats(&before)
				b.StartTimer()
				v = load(e)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapInuse-before.HeapInuse), "heap-B")
			if v.rank([]byte("a"), 0, 1) == none {
				b.Fatal("no a")
			}
		})
	}
}
