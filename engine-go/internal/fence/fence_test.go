package fence

import (
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child is set in a process that a test starts to see it die.
const child = "FENCE_TEST_CHILD"

func TestMain(m *testing.M) {
	what := strings.Fields(os.Getenv(child))
	if len(what) == 0 {
		os.Exit(m.Run())
	}
	timer, err := New()
	if err != nil {
		os.Exit(1)
	}
	deadline, _ := strconv.ParseFloat(what[0], 64)
	if timer.Arm(deadline) != nil {
		os.Exit(2)
	}
	if len(what) > 1 { // stops itself: nothing in user space runs any more
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	time.Sleep(time.Minute)
}

func ends(t *testing.T, what string) *os.ProcessState {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), child+"="+what)
	_ = command.Run()
	return command.ProcessState
}

func TestTheKernelKillsAtTheDeadline(t *testing.T) {
	for name, what := range map[string]string{
		"past":    "0.5",
		"zero":    "0",
		"soon":    strconv.FormatFloat(Boottime()+0.5, 'f', -1, 64),
		"stopped": strconv.FormatFloat(Boottime()+0.5, 'f', -1, 64) + " stop",
	} {
		status, is := ends(t, what).Sys().(syscall.WaitStatus)
		if !is || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Errorf("%s: %v", name, status)
		}
	}
}

func TestArmingReplaces(t *testing.T) {
	timer, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []float64{1000, 100, 500} {
		if err = timer.Arm(Boottime() + ahead); err != nil {
			t.Fatal(err)
		}
		if left, err := timer.Remaining(); err != nil || math.Abs(left-ahead) > 50 {
			t.Errorf("%v s instead of %v, %v", left, ahead, err)
		}
	}
	for _, wrong := range []float64{math.NaN(), math.Inf(1), 1e18} {
		if timer.Arm(wrong) == nil {
			t.Errorf("%v was taken for a deadline", wrong)
		}
	}
	if left, _ := timer.Remaining(); left <= 0 {
		t.Error("a wrong deadline has disarmed the timer")
	}
	if err = timer.Disarm(); err != nil {
		t.Fatal(err)
	}
	if left, err := timer.Remaining(); err != nil || left != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestAWrongParentIsSeen(t *testing.T) {
	if lives, err := DieWithParent(os.Getppid() + 1); err != nil || lives {
		t.Errorf("%v, %v", lives, err)
	}
}
