import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import { assert, describe, it } from "@effect/vitest"
import { cuts, text, utf8 } from "./bytes.ts"

const exit = (...causes: ReadonlyArray<unknown>): string =>
  JSON.stringify({ metadata: {}, status: "Failure", message: "m", reason: "NonZeroExitCode", details: { causes } })
const exitCode = (message: unknown): string => exit({ reason: "ExitCode", message })

describe("a Status", () => {
  const exits: ReadonlyArray<readonly [string, number]> = [
    ["{\"metadata\":{},\"status\":\"Success\"}", 0],
    ["{\"status\":\"Success\"}", 0],
    ["\n{\"status\":\"Success\"}\n", 0],
    [exitCode("42"), 42],
    [exitCode("3"), 3],
    [exitCode("137"), 137],
    [exitCode("255"), 255],
    [exitCode("300"), 300],
    [exitCode("-1"), -1],
    [exitCode("-2147483648"), -2_147_483_648],
    [exitCode("2147483647"), 2_147_483_647],
    [exitCode("4294967295"), 4_294_967_295],
    [exit({ reason: "FieldValueInvalid", message: "9" }, { reason: "ExitCode", message: "3" }), 3],
    [exit(null, "x", { reason: "ExitCode", message: "3" }, { reason: "ExitCode", message: "4" }), 3]
  ]
  for (const [status, code] of exits) {
    it(`is exit code ${code}: ${JSON.stringify(status)}`, () => {
      assert.deepStrictEqual(ExitStatus.parse(status), { _tag: "Exited", code, status: JSON.parse(status) })
    })
  }

  const unreadable: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["an empty object", "{}", /neither Success nor Failure/],
    ["broken JSON", "{\"status\":", /not a JSON object/],
    ["text", "command terminated", /not a JSON object/],
    ["a number", "3", /not a JSON object/],
    ["null", "null", /not a JSON object/],
    ["an array", "[]", /not a JSON object/],
    ["two objects", "{\"status\":\"Success\"}{\"status\":\"Success\"}", /not a JSON object/],
    ["another status", "{\"status\":\"Pending\"}", /neither Success nor Failure/],
    ["a status in other case", "{\"status\":\"success\"}", /neither Success nor Failure/],
    [
      "a non-zero exit without causes",
      "{\"status\":\"Failure\",\"reason\":\"NonZeroExitCode\",\"message\":\"m\"}",
      /gives none/
    ],
    [
      "a non-zero exit with null details",
      "{\"status\":\"Failure\",\"reason\":\"NonZeroExitCode\",\"details\":null}",
      /gives none/
    ],
    [
      "a non-zero exit with null causes",
      "{\"status\":\"Failure\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":null}}",
      /gives none/
    ],
    ["a non-zero exit with an empty list", exit(), /gives none/],
    ["a non-zero exit with an empty cause", exit({}), /gives none/],
    ["a non-zero exit with another cause", exit({ reason: "Other", message: "3" }), /gives none/],
    ["an exit code without message", exit({ reason: "ExitCode" }), /no integer/],
    ["an empty exit code", exitCode(""), /no integer/],
    ["an exit code in words", exitCode("three"), /no integer/],
    ["an exit code with a fraction", exitCode("3.5"), /no integer/],
    ["an exit code with an exponent", exitCode("1e2"), /no integer/],
    ["an exit code in hex", exitCode("0x10"), /no integer/],
    ["an exit code with blanks", exitCode(" 3"), /no integer/],
    ["an exit code with a newline", exitCode("3\n"), /no integer/],
    ["an exit code as a number", exitCode(3), /no integer/],
    ["an exit code of 33 bits", exitCode("4294967296"), /more than 32 bits/],
    ["an exit code of -33 bits", exitCode("-2147483649"), /more than 32 bits/],
    ["an exit code of many digits", exitCode("9".repeat(400)), /no integer/],
    ["a non-zero exit of zero", exitCode("0"), /gives zero/]
  ]
  for (const [name, status, why] of unreadable) {
    it(`tells no outcome, and is never success: ${name}`, () => {
      const outcome = ExitStatus.parse(status)
      assert(outcome._tag === "Unreadable")
      assert.match(outcome.why, why)
      assert.strictEqual(outcome.text, status)
    })
  }

  it("that is missing is Missing, and never success", () => {
    for (const nothing of ["", " ", "\n"]) assert.deepStrictEqual(ExitStatus.parse(nothing), { _tag: "Missing" })
  })

  it("of any other failure keeps message, reason and code", () => {
    const internal = { metadata: {}, status: "Failure", message: "no", reason: "InternalError", code: 500 }
    assert.deepStrictEqual(ExitStatus.parse(JSON.stringify(internal)), {
      _tag: "Failed",
      message: "no",
      reason: "InternalError",
      code: 500,
      status: internal
    })
    assert.deepStrictEqual(ExitStatus.parse("{\"status\":\"Failure\",\"message\":7,\"code\":\"500\"}"), {
      _tag: "Failed",
      message: "",
      reason: undefined,
      code: undefined,
      status: { status: "Failure", message: 7, code: "500" }
    })
  })
})

describe("the accumulator", () => {
  const status = exit({ reason: "ExitCode", message: "42" }, { message: `a "}" and a \\ ${"é".repeat(300)}` })

  it("tells the outcome at the last byte of the Status, wherever it is cut", () => {
    for (const chunks of cuts(utf8(`\n${status}`), 5)) {
      const accumulator = ExitStatus.makeAccumulator()
      const outcomes = chunks.map((chunk) => accumulator.push(chunk))
      assert(outcomes.slice(0, -1).every((outcome) => outcome === undefined))
      assert.deepStrictEqual(outcomes.at(-1), ExitStatus.parse(status))
      assert.deepStrictEqual(accumulator.end(), ExitStatus.parse(status))
    }
  })

  it("keeps the first Status, whatever follows", () => {
    const accumulator = ExitStatus.makeAccumulator()
    const first = accumulator.push(utf8(`${status}{"status":"Success"}`))
    assert.deepStrictEqual(first, ExitStatus.parse(status))
    assert.strictEqual(accumulator.push(utf8("{\"status\":\"Success\"}")), first)
    assert.strictEqual(accumulator.end(), first)
  })

  it("is not moved by the empty message in front of a Status", () => {
    const accumulator = ExitStatus.makeAccumulator()
    assert.strictEqual(accumulator.push(new Uint8Array()), undefined)
    assert.strictEqual(accumulator.push(utf8("{\"status\":\"Success\"}"))?._tag, "Exited")
  })

  it("calls nothing Missing and half a Status Unreadable", () => {
    assert.deepStrictEqual(ExitStatus.makeAccumulator().end(), { _tag: "Missing" })
    const accumulator = ExitStatus.makeAccumulator()
    assert.strictEqual(accumulator.push(utf8("{\"status\":\"Success\"")), undefined)
    const outcome = accumulator.end()
    assert(outcome._tag === "Unreadable")
    assert.strictEqual(outcome.text, "{\"status\":\"Success\"")
  })

  it("collects text that is no JSON to the end", () => {
    const accumulator = ExitStatus.makeAccumulator()
    assert.strictEqual(accumulator.push(utf8("command {")), undefined)
    assert.strictEqual(accumulator.push(utf8("terminated}")), undefined)
    const outcome = accumulator.end()
    assert(outcome._tag === "Unreadable")
    assert.strictEqual(outcome.text, "command {terminated}")
  })

  it("keeps its own copy of the bytes", () => {
    const accumulator = ExitStatus.makeAccumulator()
    const chunk = utf8("{\"status\":")
    accumulator.push(chunk)
    chunk.fill(0)
    assert.strictEqual(accumulator.push(utf8("\"Success\"}"))?._tag, "Exited")
  })

  it("stops at its limit", () => {
    const padded = (length: number): Uint8Array => utf8(`{"status":"Success","x":"${"y".repeat(length - 27)}"}`)
    assert.strictEqual(padded(100).length, 100)
    assert.strictEqual(ExitStatus.makeAccumulator(100).push(padded(100))?._tag, "Exited")
    for (const chunks of cuts(padded(101), 6)) {
      const accumulator = ExitStatus.makeAccumulator(100)
      let outcome: ExitStatus.Outcome | undefined
      for (const chunk of chunks) outcome = accumulator.push(chunk)
      assert(outcome?._tag === "Unreadable")
      assert.match(outcome.why, /longer than 100 bytes/)
    }
    assert.strictEqual(ExitStatus.makeAccumulator().push(padded(1_048_577))?._tag, "Unreadable")
    assert.strictEqual(ExitStatus.makeAccumulator().push(padded(1_048_576))?._tag, "Exited")
  })

  it("keeps all of one that cannot be read, so that secrets can be hidden in it", () => {
    const outcome = ExitStatus.parse("x".repeat(5_000))
    assert(outcome._tag === "Unreadable")
    assert.strictEqual(outcome.text.length, 5_000)
  })
})

describe("what servers write", () => {
  const encoded = (bytes: Uint8Array): string => text(bytes)

  it("is the Success of each library version", () => {
    assert.strictEqual(encoded(ExitStatus.encodeExit(0)), "{\"metadata\":{},\"status\":\"Success\"}")
    assert.strictEqual(encoded(ExitStatus.encodeExit(0, { metadata: false })), "{\"status\":\"Success\"}")
  })

  it("is the exit of translator, containerd and CRI-O", () => {
    const status = (words: string, code: number) =>
      `{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: ${words}",` +
      `"reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"${code}"}]}}`
    assert.strictEqual(encoded(ExitStatus.encodeExit(3)), status("command terminated with exit code 3", 3))
    assert.strictEqual(encoded(ExitStatus.encodeExit(3, { wording: "cri-o" })), status("exit status 3", 3))
    assert.strictEqual(
      encoded(ExitStatus.encodeExit(137, { wording: "containerd", command: ["sh", "-c", "kill -9 $$"] })),
      status("error executing command [sh -c kill -9 $$], exit code 137", 137)
    )
  })

  it("is the internal error of each library version, with Go's escapes", () => {
    assert.strictEqual(
      encoded(ExitStatus.encodeInternalError("a < b > c & d\u2028\u2029")),
      "{\"metadata\":{},\"status\":\"Failure\"," +
        "\"message\":\"Internal error occurred: a \\u003c b \\u003e c \\u0026 d\\u2028\\u2029\"," +
        "\"reason\":\"InternalError\",\"details\":{\"causes\":[{\"message\":\"a \\u003c b \\u003e c \\u0026 d\\u2028\\u2029\"}]}," +
        "\"code\":500}"
    )
    assert.strictEqual(
      encoded(ExitStatus.encodeInternalError("no", { metadata: false, details: false })),
      "{\"status\":\"Failure\",\"message\":\"Internal error occurred: no\",\"reason\":\"InternalError\",\"code\":500}"
    )
  })

  it("is read back as it was meant", () => {
    for (const code of [0, 1, 42, 255, 300, -7]) {
      for (const wording of ["translator", "containerd", "cri-o"] as const) {
        const outcome = ExitStatus.parse(encoded(ExitStatus.encodeExit(code, { wording, command: ["a", "<"] })))
        assert(outcome._tag === "Exited")
        assert.strictEqual(outcome.code, code)
      }
    }
    const outcome = ExitStatus.parse(encoded(ExitStatus.encodeInternalError("a < b")))
    assert(outcome._tag === "Failed")
    assert.deepStrictEqual([outcome.message, outcome.reason, outcome.code], [
      "Internal error occurred: a < b",
      "InternalError",
      500
    ])
  })
})

describe("the words of runtimes", () => {
  const id = "5f".repeat(32)
  const containerd = (cause: string): string =>
    `error executing command in container: failed to exec in container: failed to start exec "${id}": ` +
    `OCI runtime exec failed: exec failed: unable to start container process: ${cause}`
  const found = (program: string | undefined): ExitStatus.StartFailure => ({ _tag: "NotFound", program })
  const unusable = (program: string | undefined): ExitStatus.StartFailure => ({ _tag: "NotExecutable", program })
  const nowhere = (directory: string): ExitStatus.StartFailure => ({ _tag: "NoWorkingDirectory", directory })
  const other: ExitStatus.StartFailure = { _tag: "Other" }

  const rows: ReadonlyArray<readonly [string, string, ExitStatus.StartFailure]> = [
    ["runc, not in the path", "exec: \"no-such\": executable file not found in $PATH", found("no-such")],
    [
      "runc, no such path",
      "exec: \"/bin/no such\": stat /bin/no such: no such file or directory",
      found("/bin/no such")
    ],
    [
      "runc, path through a file",
      "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory",
      found("/etc/passwd/x")
    ],
    ["runc, not executable", "exec: \"/etc/passwd\": permission denied", unusable("/etc/passwd")],
    ["runc, unreadable directory", "exec: \"/root/x\": stat /root/x: permission denied", unusable("/root/x")],
    ["runc, a directory", "exec: \"/etc\": is a directory", unusable("/etc")],
    ["runc, wrong architecture", "exec /usr/bin/tool: exec format error", unusable("/usr/bin/tool")],
    ["runc, relative path of wrong format", "exec ./a b.sh: exec format error", unusable("./a b.sh")],
    ["runc, interpreter missing", "exec /srv/run.sh: no such file or directory", found("/srv/run.sh")],
    ["runc, noexec mount", "exec /mnt/tool: permission denied", unusable("/mnt/tool")],
    [
      "runc, no working directory",
      "chdir to cwd (\"/no/dir\") set in config.json failed: no such file or directory",
      nowhere("/no/dir")
    ],
    [
      "crun, not in the path",
      "executable file `no-such` not found in $PATH: No such file or directory",
      found("no-such")
    ],
    ["crun, no such path", "executable file `/no/such` not found: No such file or directory", found("/no/such")],
    ["crun, older, without a name", "executable file not found in $PATH: No such file or directory", found(undefined)],
    [
      "crun, not executable",
      "the path `/etc/passwd` exists but it is not executable: Operation not permitted",
      unusable("/etc/passwd")
    ],
    ["crun, a directory", "the path `/etc` is not a regular file: Operation not permitted", unusable("/etc")],
    ["crun, wrong format", "exec container process `/usr/bin/tool`: Exec format error", unusable("/usr/bin/tool")],
    [
      "crun, loader missing",
      "exec container process (missing dynamic library?) `/x`: No such file or directory",
      found("/x")
    ],
    ["crun, older, not executable", "open executable: Operation not permitted", unusable(undefined)],
    ["crun, no working directory", "chdir to `/no/dir`: No such file or directory", nowhere("/no/dir")],
    [
      "gVisor, not in the path",
      "error finding executable \"no-such\" in PATH [/usr/bin /bin]: no such file or directory",
      found("no-such")
    ],
    ["args empty", "args must not be empty", other],
    ["another file that is missing", "open /proc/self/fd: no such file or directory", other],
    ["another permission", "failed to write to /sys/fs/cgroup: permission denied", other]
  ]
  for (const [name, cause, expected] of rows) {
    it(`are told apart: ${name}`, () => {
      const texts = [
        cause,
        containerd(cause),
        containerd(`${cause}: unknown`),
        `Internal error occurred: ${containerd(`${cause}: unknown`)}`,
        `Internal error occurred: Internal error occurred: ${containerd(cause)}`,
        `time="2026-01-01T00:00:00Z" level=error msg=${JSON.stringify(`exec failed: ${cause}`)}`,
        JSON.stringify(JSON.stringify(`exec failed: ${cause}`))
      ]
      for (const words of texts) assert.deepStrictEqual(ExitStatus.classify(words), expected, words)
    })
  }

  it("of runc before 1.1 quote the cause", () => {
    const words = "OCI runtime exec failed: exec failed: container_linux.go:349: starting container process caused " +
      "\"exec: \\\"bash\\\": executable file not found in $PATH\": unknown"
    assert.deepStrictEqual(ExitStatus.classify(words), found("bash"))
  })

  it("are other in messages that name no program", () => {
    for (
      const words of [
        "",
        "Internal error occurred: unable to upgrade connection: container not found (\"c\")",
        "error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused",
        "Internal error occurred: failed to drain exec process: io is still held by other processes",
        "exec failed: permission denied"
      ]
    ) assert.deepStrictEqual(ExitStatus.classify(words), other, words)
  })

  it("are found at the end of a message however long, in time that does not explode", () => {
    const long = "exec /".repeat(200_000)
    assert.deepStrictEqual(ExitStatus.classify(long), other)
    assert.deepStrictEqual(ExitStatus.classify("exec: \"a\": stat ".repeat(100_000)), other)
    assert.deepStrictEqual(
      ExitStatus.classify(`exec: "x": executable file not found in $PATH${" ".repeat(9_000)}`),
      other
    )
    assert.deepStrictEqual(ExitStatus.classify(`${long}\nexec: "x": executable file not found in $PATH`), found("x"))
  })

  it("lose the prefixes that servers add, for display", () => {
    assert.strictEqual(ExitStatus.stripPrefixes("Internal error occurred: Internal error occurred: no"), "no")
    assert.strictEqual(ExitStatus.stripPrefixes("no: Internal error occurred: x"), "no: Internal error occurred: x")
  })
})
