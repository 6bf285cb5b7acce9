import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import type { Trailer } from "@effect-k8s/channels/protocol/SupervisorOutput"
import * as Outcome from "@effect-k8s/channels/session/Outcome"
import { assert, describe, it } from "@effect/vitest"

const decide = (evidence: Partial<Outcome.Evidence>): Outcome.Outcome =>
  Outcome.decide({
    supervised: true,
    trailers: { stdout: undefined, stderr: undefined },
    status: { _tag: "Missing" },
    end: { _tag: "Closed", code: 1000 },
    ...evidence
  }, ExitStatus.classify)

const both = (trailer: Trailer): Outcome.Evidence["trailers"] => ({ stdout: trailer, stderr: trailer })
const exited = (code: number): Trailer => ({ _tag: "Exited", code })
const statusExited = (code: number): ExitStatus.Outcome => ({ _tag: "Exited", code, status: {} })
const statusFailed = (message: string): ExitStatus.Outcome => ({
  _tag: "Failed",
  message,
  reason: "InternalError",
  code: 500,
  status: {}
})
const unreadable: ExitStatus.Outcome = { _tag: "Unreadable", text: "{}", why: "says nothing" }
const lost: Outcome.End = { _tag: "Lost", cause: "reset" }
const statuses: ReadonlyArray<ExitStatus.Outcome> = [
  { _tag: "Missing" },
  statusExited(0),
  statusExited(7),
  statusFailed("out of memory"),
  unreadable
]
const ends: ReadonlyArray<Outcome.End> = [{ _tag: "Closed", code: 1000 }, { _tag: "Closed", code: undefined }, lost]

describe("both trailers", () => {
  it("win over every Status and every end, and verify both outputs", () => {
    for (const status of statuses) {
      for (const end of ends) {
        for (const code of [0, 7, 255]) {
          assert.deepStrictEqual(decide({ trailers: both(exited(code)), status, end }), {
            _tag: "Exited",
            code,
            verified: { stdout: true, stderr: true }
          })
        }
      }
    }
  })

  it("tell what did not start", () => {
    for (const tag of ["NotFound", "NotExecutable"] as const) {
      assert.deepStrictEqual(decide({ trailers: both({ _tag: tag }) }), {
        _tag: tag,
        program: undefined,
        description: undefined
      })
    }
    assert.deepStrictEqual(decide({ trailers: both({ _tag: "NoWorkingDirectory" }) }), {
      _tag: "NoWorkingDirectory",
      directory: undefined,
      description: undefined
    })
    assert.deepStrictEqual(decide({ trailers: both({ _tag: "VariableKept" }) }), { _tag: "VariableKept" })
  })
})

describe("one trailer alone", () => {
  it("is not enough: the other output may be cut short", () => {
    for (const one of ["stdout", "stderr"] as const) {
      const trailers = { stdout: undefined, stderr: undefined, [one]: exited(0) }
      assert.strictEqual(decide({ trailers, status: statusExited(0) })._tag, "Unknown")
      assert.strictEqual(decide({ trailers })._tag, "Unknown")
      assert.strictEqual(decide({ trailers, end: lost })._tag, "Lost")
    }
  })

  it("says what is missing when it is waited for no more", () => {
    const end: Outcome.End = { _tag: "HalfTold", quietMillis: 120_400 }
    for (const [one, other] of [["stdout", "stderr"], ["stderr", "stdout"]] as const) {
      const trailers = { stdout: undefined, stderr: undefined, [one]: exited(7) }
      assert.deepStrictEqual(decide({ trailers, end }), {
        _tag: "Unknown",
        description:
          `the end of ${other} never arrived: on ${one} the supervisor has said that the command is done (exit code 7), and nothing more has come for 120 seconds`,
        reportedExitCode: 7
      })
    }
  })
})

describe("without trailers", () => {
  it("the exit code of a Status is believed of a bare command, and verifies nothing", () => {
    for (const code of [0, 7, -1, 4_294_967_295]) {
      assert.deepStrictEqual(decide({ supervised: false, status: statusExited(code) }), {
        _tag: "Exited",
        code,
        verified: { stdout: false, stderr: false }
      })
    }
  })

  it("it is believed also when the connection was lost behind it", () => {
    assert.strictEqual(decide({ supervised: false, status: statusExited(0), end: lost })._tag, "Exited")
  })

  it("it is not believed of a supervised command, and told", () => {
    for (const code of [0, 7]) {
      const outcome = decide({ status: statusExited(code) })
      assert(outcome._tag === "Unknown")
      assert.strictEqual(outcome.reportedExitCode, code)
      assert.include(outcome.description, `exit code ${code}`)
    }
  })

  it("a missing Status is never success", () => {
    for (const supervised of [true, false]) {
      const closed = decide({ supervised })
      assert(closed._tag === "Unknown")
      assert.isUndefined(closed.reportedExitCode)
      const gone = decide({ supervised, end: lost })
      assert(gone._tag === "Lost")
      assert.strictEqual(gone.cause, "reset")
    }
  })

  it("a Status that cannot be read is never success, and its text is told", () => {
    for (const supervised of [true, false]) {
      for (const end of ends) {
        const outcome = decide({ supervised, status: unreadable, end })
        assert(outcome._tag === "Unknown")
        assert.include(outcome.description, "says nothing: {}")
      }
    }
  })

  it("its text is told, but no more than 2,048 characters of it", () => {
    const outcome = decide({ status: { ...unreadable, text: "x".repeat(5_000) } })
    assert(outcome._tag === "Unknown")
    assert.match(outcome.description, /says nothing: x{2048}$/)
  })

  const failures: ReadonlyArray<readonly [message: string, outcome: Partial<Outcome.Outcome>]> = [
    [
      "Internal error occurred: exec: \"psql\": executable file not found in $PATH: unknown",
      { _tag: "NotFound", program: "psql" }
    ],
    ["Internal error occurred: exec: \"/etc\": permission denied", { _tag: "NotExecutable", program: "/etc" }],
    [
      "chdir to cwd (\"/nowhere\") set in config.json failed: no such file or directory",
      { _tag: "NoWorkingDirectory", directory: "/nowhere" }
    ],
    ["container is not running", { _tag: "Failed", reason: "InternalError", code: 500 }]
  ]
  for (const [message, expected] of failures) {
    it(`a failure of the runtime is ${expected._tag}, with its words`, () => {
      for (const supervised of [true, false]) {
        assert.deepStrictEqual<unknown>(decide({ supervised, status: statusFailed(message) }), {
          ...expected,
          description: message
        })
      }
    })
  }
})
