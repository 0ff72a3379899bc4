package nsenter

import (
	"embed"
	"errors"
	"runtime"
)

// The stage is there once make has built it; a checkout holds only the folder,
// so that go build and go vet work without a C compiler.
//
//go:embed stage/bin
var built embed.FS

// ErrNoStage tells that this davit was built without its stage.
var ErrNoStage = errors.New("this davit was built without its stage and can't start containers: build it with `make`")

func stageBinary() ([]byte, error) {
	b, err := built.ReadFile("stage/bin/stage-" + runtime.GOARCH)
	if err != nil {
		return nil, ErrNoStage
	}
	return b, nil
}

// StageSize is the size of the embedded stage in bytes, 0 where there is none.
func StageSize() int {
	b, _ := stageBinary()
	return len(b)
}
