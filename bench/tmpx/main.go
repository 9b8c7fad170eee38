package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

func main() {
	c := client.New(client.Config{Socket: os.Getenv("BANGER_RUNTIME_DIR") + "/bangerd.sock"})
	ctx := context.Background()
	for _, argv := range [][]string{{os.Args[1]}} {
		var d []time.Duration
		for range 400 {
			t := time.Now()
			e, err := c.Exec(ctx, "w", api.ExecSpec{Argv: argv}, client.ExecConfig{})
			if err != nil {
				fmt.Println(err)
			} else {
				e.Wait()
			}
			d = append(d, time.Since(t))
		}
		sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
		fmt.Println(argv, d[0], d[len(d)/2], d[len(d)*95/100])
	}
	var d []time.Duration
	for range 100 {
		t := time.Now()
		c.VMConnect(ctx, "w")
		d = append(d, time.Since(t))
	}
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	fmt.Println("connect", d[0], d[len(d)/2], d[len(d)*95/100])
}
