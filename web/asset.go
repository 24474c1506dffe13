package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"
)

const (
	// A file whose name holds its version never changes.
	cacheForever = "public, max-age=31536000, immutable"
	// Anything else is asked for again, and answered 304 while it is the same.
	cacheAsk = "no-cache"
)

// contentSecurityPolicy lets the page load its own files and call this
// gateway, nothing else. The one concession is inline style: RapiDoc puts its
// theme into a style element and style attributes. Scripts stay strict.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; media-src blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is one embedded file in both its forms. It never changes once made.
type asset struct {
	contentType string
	cache       string
	etag        string // quoted; the gzip form has a tag of its own
	plain       []byte
	gzipped     []byte
}

// newAsset makes an asset from the file's plain bytes.
func newAsset(name, cache string, plain []byte) *asset {
	return &asset{
		contentType: contentType(name),
		cache:       cache,
		etag:        etagOf(plain),
		plain:       plain,
		gzipped:     compress(plain),
	}
}

// newGzippedAsset makes an asset from a file that is kept compressed.
func newGzippedAsset(name, cache string, gzipped []byte) *asset {
	plain := decompress(gzipped)
	return &asset{contentType: contentType(name), cache: cache, etag: etagOf(plain), plain: plain, gzipped: gzipped}
}

// serve answers with the form that the client takes, or with 304 if it has it.
func (a *asset) serve(ctx *fasthttp.RequestCtx) {
	body, etag := a.plain, `"`+a.etag+`"`
	h := &ctx.Response.Header
	if acceptsGzip(ctx.Request.Header.Peek("Accept-Encoding")) {
		body, etag = a.gzipped, `"`+a.etag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", etag)
	h.Set("Cache-Control", a.cache)
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if matchesETag(ctx.Request.Header.Peek("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.SetContentType(a.contentType)
	ctx.Response.SetBodyRaw(body)
}

// acceptsGzip reports whether an Accept-Encoding value allows gzip.
func acceptsGzip(accept []byte) bool {
	for coding := range strings.SplitSeq(string(accept), ",") {
		name, params, _ := strings.Cut(coding, ";")
		if name = strings.TrimSpace(name); strings.EqualFold(name, "gzip") || name == "*" {
			return !refused(params)
		}
	}
	return false
}

// refused reports whether the parameters of a coding give it a quality of 0.
func refused(params string) bool {
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	quality, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && quality == 0
}

// matchesETag reports whether an If-None-Match value names etag, or anything.
func matchesETag(match []byte, etag string) bool {
	for tag := range strings.SplitSeq(string(match), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == etag || tag == "*" {
			return true
		}
	}
	return false
}

func etagOf(plain []byte) string {
	sum := sha256.Sum256(plain)
	return hex.EncodeToString(sum[:10])
}

func compress(plain []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	w.Write(plain) // a bytes.Buffer takes everything
	w.Close()
	return out.Bytes()
}

func decompress(gzipped []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(gzipped))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return plain
}

// docsPage is the page at /docs.
var docsPage = sync.OnceValue(func() *asset {
	return newAsset("docs.html", cacheAsk, mustRead("docs.html"))
})

// docsAssets are the parts of the page, by their name under /docs/. They are
// made at the first visit, so that a gateway nobody looks at pays nothing.
var docsAssets = sync.OnceValue(func() map[string]*asset {
	return map[string]*asset{
		"docs.css": newAsset("docs.css", cacheAsk, mustRead("docs.css")),
		"docs.js":  newAsset("docs.js", cacheAsk, mustRead("docs.js")),
		"icon.svg": newAsset("icon.svg", cacheAsk, mustRead("icon.svg")),
		rapidoc:    newGzippedAsset(rapidoc, cacheForever, mustRead(rapidoc+".gz")),
		"LICENSES": newAsset("LICENSES", cacheAsk, mustRead("LICENSES")),
	}
})

// rapidoc is the vendored renderer; ui/README.md says where it is from.
const rapidoc = "rapidoc-9.3.8.min.js"
