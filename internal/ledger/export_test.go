package ledger

// Disk and File are the seam that tests put faults behind.
type (
	Disk = disk
	File = file
)

// OSDisk is the disk that faults are put before. It syncs nothing: what a sync keeps is for the
// test to say.
func OSDisk() Disk { return osDisk{throwaway: true} }

// OpenOn opens a ledger on a disk.
func OpenOn(cfg Config, d Disk) (*Ledger, error) {
	cfg.disk = d
	return Open(cfg)
}
