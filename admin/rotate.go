package admin

import (
	"bytes"

	"llmproxy/config"
)

// rotateCredential answers POST /admin/v1/credentials/{id}/rotate: the
// credential gets a new key, and the old one stops at once.
func (a *API) rotateCredential(x *call) (int, any, error) {
	id, err := x.objectID("credential")
	if err != nil {
		return 0, nil, err
	}
	if err := a.wantNothing(x); err != nil {
		return 0, nil, err
	}
	key := config.NewKey()
	var c config.Credential
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.ChangeCredential(ctx, id, func(stored *config.Credential) error {
		stored.Hash, stored.Preview = config.HashKey(key), config.Preview(key)
		c = *stored
		return stored.Validate().Err()
	})
	if err != nil {
		return 0, nil, aboutCredential(id, err)
	}
	// Read again for updated_at only: without it the key must go out all the same.
	if stored, _, err := a.Store.Credential(ctx, id); err == nil && stored.Hash == c.Hash {
		c = stored
	}
	status, late := a.serve(x, 200, change{"rotate", "credential", id, version})
	return status, credentialAnswer{version, viewCredential(&c), key, late}, nil
}

// wantNothing refuses a body that says something.
func (a *API) wantNothing(x *call) error {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return parse[struct{}](body, nil).problems.Err()
}
