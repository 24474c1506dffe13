package admin

import (
	"errors"
	"fmt"
	"strconv"

	"llmproxy/config"
)

// unserved is the part of an answer that says why a change, though saved,
// does not serve here yet. It is empty when it does.
type unserved struct {
	Detail string          `json:"detail,omitempty"`
	Errors config.Problems `json:"errors,omitempty"`
}

// serve puts a saved change into service and logs it. It answers with status,
// or with 503 and the reason: the change is saved then and cannot be taken
// back, so its answer is still given in full.
func (a *API) serve(x *call, status int, what change) (int, unserved) {
	a.Log.Info("configuration changed by admin", "action", what.action, "object", what.kind, "id", what.id,
		"version", what.version, "request_id", x.id)
	ctx, cancel := a.storeContext()
	defer cancel()
	applied, err := a.Reload(ctx)
	if err == nil && applied.Version < what.version {
		err = fmt.Errorf("version %d was loaded instead", applied.Version)
	}
	if err == nil {
		return status, unserved{}
	}
	a.Log.Error("changed configuration does not serve", "version", what.version, "request_id", x.id, "error", err.Error())
	u := unserved{Detail: fmt.Sprintf("saved as version %d, but it does not serve here yet", what.version)}
	if errors.As(refused(err), &u.Errors) {
		u.Detail += ": " + u.Errors.Error()
	}
	return 503, u
}

// change is one write, for the log.
type change struct {
	action  string // create, update, delete or rotate
	kind    string // provider, credential or price
	id      int64
	version int64
}

// done is the answer to a write that leaves nothing to show.
type done struct {
	Version int64  `json:"version"`
	Status  string `json:"status"`
	unserved
}

// objectID returns the id in the path. What is no number names no object.
func (x *call) objectID(kind string) (int64, error) {
	text, _ := x.http.UserValue("id").(string)
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != text {
		return 0, &fault{status: 404, detail: "this " + kind + " does not exist"}
	}
	return id, nil
}
