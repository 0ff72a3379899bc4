package vm

import (
	"fmt"
	"os"
	"testing"

	"davit/tests/harness"
)

// inVM is set in the machine, to its kind.
const inVM = "DAVIT_VM"

func TestMain(m *testing.M) {
	if os.Getenv(inVM) == "" {
		fmt.Println("skipped: these tests run in the machine of make vm-test")
		return
	}
	os.Exit(harness.Main(m))
}
