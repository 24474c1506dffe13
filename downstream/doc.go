// Package downstream is the client's side of a connection.
//
// A Listener accepts connections as *Conn: quick to read and write, cut when a
// client stops reading, counted, TLS if asked. A Watcher tells a request that
// is being served that its client has gone, which the HTTP server cannot know:
// its goroutine is in the handler and nobody reads the socket.
//
// It knows nothing of HTTP, requests or providers. Who serves a request embeds
// a Watch, starts it on the request's connection and stops it at the end:
//
//	watcher.Start(&x.watch, ctx.Conn(), x) // x.ClientGone() may be called from here on
//	defer x.watch.Stop()                   // and never again after this
//
// Locks: rest.mu before Conn.mu before Watcher.mu or members.mu.
package downstream
