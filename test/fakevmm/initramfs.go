package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The layout of a newc entry: a magic number, and fields of eight hex digits.
const (
	cpioMagic  = "070701"
	cpioHeader = 110
	cpioSize   = 6 // the number of the field with the size of the content
	cpioName   = 11
)

// readInit is /init of an initramfs, of several archives in a row too: the last
// one counts.
func readInit(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the initramfs: %w", err)
	}
	init, err := findInit(data)
	if err == nil && init == nil {
		err = fmt.Errorf("it has no /init")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the initramfs %s: %w", path, err)
	}
	return init, nil
}

func findInit(data []byte) (init []byte, _ error) {
	aligned := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; at < len(data); {
		if data[at] == 0 { // between archives
			at++
			continue
		}
		if len(data)-at < cpioHeader || !strings.HasPrefix(string(data[at:at+len(cpioMagic)]), cpioMagic) {
			return nil, fmt.Errorf("at %d there is no entry of a cpio archive", at)
		}
		field := func(i int) (int, error) {
			n, err := strconv.ParseUint(string(data[at+len(cpioMagic)+8*i:][:8]), 16, 31)
			return int(n), err
		}
		size, err := field(cpioSize)
		if err != nil {
			return nil, err
		}
		length, err := field(cpioName)
		if err != nil {
			return nil, err
		}
		body := aligned(at + cpioHeader + length)
		if length < 1 || body+size > len(data) {
			return nil, fmt.Errorf("the entry at %d is longer than the archive", at)
		}
		if string(data[at+cpioHeader:at+cpioHeader+length-1]) == "init" {
			init = data[body : body+size]
		}
		at = aligned(body + size)
	}
	return init, nil
}
