package integration

import (
	"os"
	"testing"

	"davit/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
