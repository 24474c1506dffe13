package server

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// door is a listener and the HTTP server that takes its connections. There are
// the clients' and, if there is to be one, the operators'.
type door struct {
	http     *fasthttp.Server
	listener atomic.Pointer[net.Listener]
}

// serve takes connections until the door is shut.
func (d *door) serve(ln net.Listener) error {
	d.listener.Store(&ln)
	return d.http.Serve(ln)
}

func (d *door) stopListening() {
	if ln := d.listener.Load(); ln != nil {
		_ = (*ln).Close() // what is closed already is just as well
	}
}

// shut ends what is left of the door, and waits for it until ctx ends.
func (d *door) shut(ctx context.Context) error { return d.http.ShutdownWithContext(ctx) }

// closeIdle ends the connections that have been idle since before, and returns
// how many are open.
func (d *door) closeIdle(before time.Time) (open int) {
	ln := d.listener.Load()
	if ln == nil {
		return 0
	}
	keeper, ok := (*ln).(interface{ CloseIdle(before time.Time) int })
	if !ok {
		return 0 // fasthttp knows them too, and closes them without a turn
	}
	return keeper.CloseIdle(before)
}
