package tokens

import (
	"sync"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
)

// vocabularies are loaded when they are first needed, and stay: some 20 MB and
// a fifth of a second each.
var vocabularies [encodings]struct {
	once sync.Once
	bpe  *tiktoken.Tiktoken
}

// loading is held while a vocabulary is loaded: the library's loader is a
// global variable.
var loading sync.Mutex

func vocabulary(e Encoding) *tiktoken.Tiktoken {
	v := &vocabularies[e]
	v.once.Do(func() { v.bpe = load(e) })
	if v.bpe == nil {
		panic("BUG: tokens: vocabulary could not be loaded: " + e.String())
	}
	return v.bpe
}

func load(e Encoding) *tiktoken.Tiktoken {
	loading.Lock()
	defer loading.Unlock()
	// The library would ask the network; the loader has the files in the binary.
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	bpe, err := tiktoken.GetEncoding(e.String())
	if err != nil {
		panic("BUG: tokens: embedded vocabulary: " + err.Error())
	}
	return bpe
}
