package service

import (
	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/doctor/residue"
)

// DoctorReport is what checks found, for the wire.
func DoctorReport(results []doctor.Result) api.DoctorReport {
	r := api.DoctorReport{Checks: make([]api.DoctorCheck, len(results))}
	for i, res := range results {
		r.Checks[i] = api.DoctorCheck{
			Name: res.Name, Theme: res.Theme, State: string(res.State), Found: res.Found,
			Command: res.Fix.Command, Safe: res.Fix.Safe, Hint: res.Fix.Hint,
		}
	}
	return r
}

// Residue is what is left over, for the wire.
func Residue(strays []residue.Stray) api.Residue {
	r := api.Residue{Strays: make([]api.Stray, len(strays))}
	for i, s := range strays {
		r.Strays[i] = api.Stray{Kind: s.Kind, What: s.What, Why: s.Why, Command: s.Command}
	}
	return r
}
