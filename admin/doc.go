// Package admin is the control plane: the HTTP API by which providers and
// client keys are declared, and the effect of declaring them is seen.
//
// Every request goes the same way: it gets an id, its admin key is compared in
// constant time, its body is checked field by field, the store is changed, the
// configuration is loaded anew, and only then does the answer go out: what was
// answered serves here. All faults of a body are named in one answer.
//
// It knows neither how a request for a model is served nor which database
// there is; Deps holds what it works with.
package admin
