package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"strings"

	"github.com/valyala/fasthttp"
)

// authorize lets the admin's key through.
//
// The key is looked at before anything else of the request, and the right one
// is let through whatever others from the same address have tried: the count
// of wrong ones must not lock the admin out.
func (a *API) authorize(ctx *fasthttp.RequestCtx) error {
	if !a.HasAdminKey {
		return errNoAdminKey
	}
	key, given := bearer(&ctx.Request.Header)
	if given && a.IsAdmin(key) {
		return nil
	}
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	if !given {
		return errNotAdmin
	}
	return a.countGuess(ctx.RemoteIP())
}

// countGuess notes a wrong key and answers with the refusal for it.
func (a *API) countGuess(from net.IP) error {
	a.WrongKey()
	wait, first := a.guesses.add(from, a.Now())
	if first {
		a.Log.Warn("too many wrong admin keys", "remote", from.String())
	}
	if wait > 0 {
		return tooManyGuesses(wait)
	}
	return errNotAdmin
}

// IsAdmin reports whether key is the admin's. It takes the same time for
// every wrong key: hashes of equal length are compared, all of them.
func (a *API) IsAdmin(key []byte) bool {
	hash := sha256.Sum256(key)
	return subtle.ConstantTimeCompare(hash[:], a.AdminKeyHash[:]) == 1 && a.HasAdminKey
}

// bearer returns the key of the one Authorization header. Of two headers
// nobody can say which one counts, so they are as none.
func bearer(h *fasthttp.RequestHeader) (key []byte, given bool) {
	values := h.PeekAll(fasthttp.HeaderAuthorization)
	if len(values) != 1 {
		return nil, false
	}
	scheme, token, found := strings.Cut(string(values[0]), " ")
	token = strings.TrimLeft(token, " ")
	if !found || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return nil, false
	}
	return []byte(token), true
}
