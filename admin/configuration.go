package admin

import (
	"errors"
	"time"

	"llmproxy/config"
)

type validation struct {
	Valid   bool   `json:"valid"`
	Message string `json:"message"`
}

// validateKey answers POST /admin/v1/auth/validate. Who gets here has the
// right key; authorize refuses the others.
func (a *API) validateKey(*call) (int, any, error) {
	return 200, validation{Valid: true, Message: "Admin key is valid"}, nil
}

type versionAnswer struct {
	Version   int64     `json:"version"`
	Timestamp time.Time `json:"timestamp"`
}

// configVersion answers GET /admin/v1/config/version.
func (a *API) configVersion(*call) (int, any, error) {
	ctx, cancel := a.storeContext()
	defer cancel()
	version, at, err := a.Store.Version(ctx)
	if err != nil {
		return 0, nil, err
	}
	return 200, versionAnswer{Version: version, Timestamp: at.UTC()}, nil
}

type reloadAnswer struct {
	Version     int64     `json:"version"`
	Timestamp   time.Time `json:"timestamp"`
	Providers   int       `json:"providers_count"`
	Credentials int       `json:"credentials_count"`
}

// reloadConfig answers POST /admin/v1/config/reload. A configuration with
// faults is refused with all of them, and the old one keeps serving.
func (a *API) reloadConfig(x *call) (int, any, error) {
	ctx, cancel := a.storeContext()
	defer cancel()
	applied, err := a.Reload(ctx)
	if err != nil {
		return 0, nil, refused(err)
	}
	a.Log.Info("configuration reloaded by admin", "version", applied.Version, "request_id", x.id)
	return 200, reloadAnswer{
		Version: applied.Version, Timestamp: a.Now().UTC().Truncate(time.Millisecond),
		Providers: applied.Providers, Credentials: applied.Credentials,
	}, nil
}

// refused makes a problem of a configuration that could not even be read: for
// the admin it is at fault like one with bad values.
func refused(err error) error {
	var problems config.Problems
	if isOutage(err) || errors.As(err, &problems) {
		return err
	}
	return config.Problems{{Field: "configuration", Message: err.Error()}}
}
