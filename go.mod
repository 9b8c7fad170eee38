module github.com/banger-vm/banger

go 1.26
