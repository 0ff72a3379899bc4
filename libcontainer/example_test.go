package libcontainer_test

import (
	"fmt"
	"log"

	"davit/libcontainer"
)

// A program that runs containers needs no hook in its main function: this is all.
func ExampleRuntime_Run() {
	rt, err := libcontainer.New(libcontainer.Options{Root: "/run/example"})
	if err != nil {
		log.Fatal(err)
	}
	code, err := rt.Run("hello", &libcontainer.RunOptions{CreateOptions: libcontainer.CreateOptions{Bundle: "/srv/bundle"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the container's process ended with status", code)
}
