package network

import "time"

// Report is what a Carrier refused. It is bounded, whatever the guest does.
type Report struct {
	Refused []Refused `json:"refused,omitempty"` // most first
	Last    []Attempt `json:"last,omitempty"`    // oldest first
}

// Refused counts what was refused for one reason.
type Refused struct {
	// Why is a range of destinations, or which bound was reached.
	Why   string `json:"why"`
	Count uint64 `json:"count"`
}

// Attempt is one thing that was refused.
type Attempt struct {
	At       time.Time `json:"at"`
	Protocol string    `json:"protocol"` // tcp, udp or icmp
	To       string    `json:"to"`       // address and port, as the guest had it
	Why      string    `json:"why"`
}
