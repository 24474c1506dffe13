package tokens

import (
	"sync"
	"testing"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
)

// oracles are pkoukk/tiktoken-go's encodings: regexp2, a map of strings, and a
// merge that takes the square of a piece's length.
var oracles [encodings]struct {
	once sync.Once
	made *tiktoken.Tiktoken
}

// oracle loads one. The library would ask the network; the loader has the files
// in the binary.
func oracle(t testing.TB, e Encoding) *tiktoken.Tiktoken {
	t.Helper()
	o := &oracles[e]
	o.once.Do(func() {
		loadingOracle.Lock()
		defer loadingOracle.Unlock()
		tiktoken.SetBpeLoader(loader.NewOfflineLoader())
		o.made, _ = tiktoken.GetEncoding(e.String())
	})
	if o.made == nil {
		t.Fatalf("tiktoken-go has no %s", e)
	}
	return o.made
}

var loadingOracle sync.Mutex // the library's loader is a global variable

// eachWord gives take what the library's loader reads.
func eachWord(t *testing.T, e Encoding, take func(word []byte, rank uint32)) {
	t.Helper()
	words, err := loader.NewOfflineLoader().LoadTiktokenBpe(e.String() + ".tiktoken")
	if err != nil {
		t.Fatal(err)
	}
	for word, rank := range words {
		take([]byte(word), uint32(rank))
	}
}
