// Package fence has the hard fence of an engine: a kernel timer that kills this process at a deadline, whatever else in it still works, and the
// signal at its parent's death. Called by the program's main function before it opens anything, and by package host to move the deadline.
package fence

import (
	"fmt"
	"math"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const timerAbsolute = 1

// event is the kernel's struct sigevent: a union of pointer size, two ints, padded to 64 bytes.
type event struct {
	value  uintptr
	signal int32
	notify int32
	_      [48]byte
}

// spec is the kernel's struct itimerspec.
type spec struct {
	interval unix.Timespec
	value    unix.Timespec
}

// Timer is a POSIX timer that sends SIGKILL to its own process at a moment of CLOCK_BOOTTIME. The kernel fires it even when the process is
// stopped; the clock goes on while the machine sleeps. See timer_create(2).
type Timer struct {
	mutex  sync.Mutex
	number int32
}

// New asks the kernel for a timer; it starts disarmed.
func New() (*Timer, error) {
	timer := &Timer{}
	what := event{signal: int32(unix.SIGKILL)} // notify 0 is SIGEV_SIGNAL
	_, _, errno := unix.RawSyscall(
		unix.SYS_TIMER_CREATE, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&what)), uintptr(unsafe.Pointer(&timer.number)))
	if errno != 0 {
		return nil, fmt.Errorf("timer_create: %w", errno)
	}
	return timer, nil
}

// Arm makes the kernel kill this process at deadline, in seconds of CLOCK_BOOTTIME, unless it is armed anew before. A deadline in the past
// kills at once. It replaces the earlier deadline in one step.
func (timer *Timer) Arm(deadline float64) error {
	if math.IsNaN(deadline) || deadline > float64(math.MaxInt64/2)/1e9 {
		return fmt.Errorf("timer_settime: %v is no deadline", deadline)
	}
	// All zero would disarm the timer; the first nanosecond after boot is in the past and kills.
	nanoseconds := int64(1)
	if deadline > 1e-9 {
		nanoseconds = int64(deadline * 1e9)
	}
	return timer.set(nanoseconds)
}

// Disarm takes the deadline away; for tests, and for a process that has proved that it need not be fenced.
func (timer *Timer) Disarm() error {
	return timer.set(0)
}

// Remaining is the seconds until the kernel kills this process; 0 when disarmed.
func (timer *Timer) Remaining() (float64, error) {
	var now spec
	_, _, errno := unix.RawSyscall(unix.SYS_TIMER_GETTIME, uintptr(timer.number), uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("timer_gettime: %w", errno)
	}
	return float64(now.value.Nano()) / 1e9, nil
}

func (timer *Timer) set(nanoseconds int64) error {
	timer.mutex.Lock()
	defer timer.mutex.Unlock()
	next := spec{value: unix.NsecToTimespec(nanoseconds)}
	_, _, errno := unix.RawSyscall6(
		unix.SYS_TIMER_SETTIME, uintptr(timer.number), timerAbsolute, uintptr(unsafe.Pointer(&next)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("timer_settime: %w", errno)
	}
	return nil
}

// Boottime is now in seconds of CLOCK_BOOTTIME.
func Boottime() float64 { return clock(unix.CLOCK_BOOTTIME) }

// Monotonic is now in seconds of CLOCK_MONOTONIC, the clock that Python's time.monotonic shows.
func Monotonic() float64 { return clock(unix.CLOCK_MONOTONIC) }

func clock(which int32) float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(which, &now); err != nil {
		panic(err) // both clocks are in every kernel that has timers on them
	}
	return float64(now.Nano()) / 1e9
}

// DieWithParent asks the kernel for SIGKILL at the parent's death. It reports false when the parent is gone already. It must be called from
// the main thread, whose life is the process's: the kernel keeps the wish with the thread that had it.
func DieWithParent(parent int) (bool, error) {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return false, fmt.Errorf("prctl: %w", err)
	}
	// The parent may have died between fork and prctl: then no signal will come.
	return os.Getppid() == parent, nil
}
