package deploy

import (
	"os"
	"testing"

	"llmproxy/internal/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Run(m)) }
