// Package upstream carries one request to one provider and its answer back.
//
// A Client is one provider's address, key and pooled connections; it is
// shared by everybody. An Attempt is one request on one of those connections;
// one goroutine owns it, and only Cancel may be called from others.
//
//	var a upstream.Attempt // in the pooled exchange
//	a.Reset()              // once per client request, before anyone may Cancel
//	err := a.Send(client, &request)
//	…                      // a.Status(), a.Header(), a.Read until io.EOF
//	a.Close()              // always; the attempt may Send again
//
// It speaks HTTP/1.1 on its own connections rather than through a ready-made
// client, because a gateway for answers that take minutes needs what those do
// not give: a limit for every phase, a cancel that works in every phase and
// never hits a connection that somebody else uses by now, and connections that
// are known to be alive before a request is trusted to them.
//
// Retries, other than one on a connection that turned out to be dead, failover
// and the meaning of statuses belong to the caller.
//
// Lock order: pool.mu is a leaf; nothing else is locked here.
package upstream
