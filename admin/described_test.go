package admin

import (
	"slices"
	"strings"
	"testing"

	"llmproxy/internal/apitest"
)

// The API and its description have the same endpoints.
func TestEndpointsAreDescribed(t *testing.T) {
	var served, described []string
	for _, e := range (&API{}).endpoints() {
		served = append(served, e.method+" "+e.path)
	}
	for _, op := range apitest.Operations() {
		if strings.HasPrefix(op.Path, "/admin/") {
			described = append(described, op.Method+" "+op.Path)
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	if !slices.Equal(served, described) {
		t.Errorf("served    %q\ndescribed %q", served, described)
	}
}
