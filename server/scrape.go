package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/openai"
)

const (
	// pieceRest is how long the maker of pages sleeps after each four pieces of
	// 64 KiB. To yield would not do: only a processor without work looks after the
	// network at once, and a page must not be what keeps it from that. A rest
	// after every piece would have the page of a large fleet take a quarter of a second.
	pieceRest  = time.Millisecond
	restPieces = 4

	// restFor bounds what the rests add to one page: Prometheus waits for 10 s.
	restFor = 4 * time.Second
)

// scrapes bounds what all scrapes together take from the requests: a piece of
// one page is made at a time, and then nothing for a while, however many ask.
type scrapes struct {
	open atomic.Int64 // pages on their way; each holds some 300 KB, and 14 MB for a client of HTTP/1.0
	turn sync.Mutex   // held while a piece is made, and while its maker sleeps; not while it is written
}

// scrape serves /metrics, to those who know the key if there is one.
func (s *Server) scrape(ctx *fasthttp.RequestCtx) {
	if s.MetricsKey != "" {
		want, got := sha256.Sum256([]byte(s.MetricsKey)), sha256.Sum256(credential(ctx))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			fail(ctx, openai.ErrInvalidKey())
			return
		}
	}
	if s.scrapes.open.Add(1) > s.MaxScrapes {
		s.scrapes.open.Add(-1)
		s.limits.scrapes.Inc()
		fail(ctx, openai.ErrOverloaded(time.Second))
		return
	}
	s.sendPage(ctx, &metricsBody{s: s, conn: ctx.Conn()})
}

// sendPage makes b the answer: in chunks, or whole to a client that cannot read
// those (HTTP/1.0).
func (s *Server) sendPage(ctx *fasthttp.RequestCtx, b *metricsBody) {
	length := -1
	if !ctx.Request.Header.IsHTTP11() {
		var whole bytes.Buffer
		if _, err := b.print(&whole); err != nil {
			b.Close()
			fail(ctx, openai.ErrInternal(err))
			return
		}
		b.whole, length = &whole, whole.Len()
	}
	protect(&ctx.Response.Header)
	ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	ctx.Response.SetBodyStream(b, length)
}

// metricsBody writes a page of metrics to the client. What breaks off breaks
// the connection too, so that nobody takes half a page for a whole one.
//
// It belongs to fasthttp from SetBodyStream to Close, which gives the place
// among the scrapes back.
type metricsBody struct {
	s     *Server
	conn  net.Conn
	whole *bytes.Buffer // made before it is sent; nil: made while it is
	ended bool
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (b *metricsBody) SupportsBodyWriteTo() bool { return true }

// Read implements io.Reader; fasthttp uses WriteTo instead.
func (b *metricsBody) Read([]byte) (int, error) {
	return 0, errors.New("BUG: a page of metrics is written by WriteTo")
}

// WriteTo implements io.WriterTo. A client that has not taken the page within
// ScrapeTime is cut off, however little or often it reads.
func (b *metricsBody) WriteTo(w io.Writer) (n int64, err error) {
	limit := time.AfterFunc(b.s.ScrapeTime, b.cutOff)
	if b.whole != nil {
		n, err = b.whole.WriteTo(w)
	} else {
		n, err = b.print(w)
	}
	if !limit.Stop() && err == nil {
		err = errSlowScrape // the connection is being closed: nothing may follow on it
	}
	return n, err
}

// cutOff ends the connection of a client that took too long.
func (b *metricsBody) cutOff() {
	b.s.limits.scrapeTime.Inc()
	b.conn.Close()
}

var errSlowScrape = errors.New("the client did not take the page of metrics in time")

// print makes the page and writes it to w.
func (b *metricsBody) print(w io.Writer) (n int64, err error) {
	s := b.s
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
			err = errPanic
		}
	}()
	s.scrapes.turn.Lock()
	defer s.scrapes.turn.Unlock()
	return s.metrics.WriteTo(&pieceWriter{to: w, turn: &s.scrapes.turn, hurry: time.Now().Add(restFor)})
}

// pieceWriter gives way to others between the pieces of a page.
type pieceWriter struct {
	to    io.Writer
	turn  *sync.Mutex // held by who makes the page
	hurry time.Time   // no rest after this
	wrote int         // pieces
}

// Write implements io.Writer.
func (p *pieceWriter) Write(piece []byte) (int, error) {
	n, err := p.send(piece)
	if p.wrote++; err == nil && p.wrote%restPieces == 0 && time.Now().Before(p.hurry) {
		time.Sleep(pieceRest)
	}
	return n, err
}

// send writes a piece while others may make theirs. After a panic too the turn
// is its maker's, who gives it back (print).
func (p *pieceWriter) send(piece []byte) (int, error) {
	p.turn.Unlock()
	defer p.turn.Lock()
	return p.to.Write(piece)
}

// Close implements io.Closer. fasthttp calls it when the page is written, when
// it could not be, and when it need not be (HEAD).
func (b *metricsBody) Close() error {
	if !b.ended {
		b.ended = true
		b.s.scrapes.open.Add(-1)
	}
	return nil
}
