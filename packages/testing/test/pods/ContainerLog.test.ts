import * as ContainerLog from "@effect-k8s/testing/pods/ContainerLog"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const text = (log: ContainerLog.ContainerLog, selection: ContainerLog.Selection = {}): string =>
  Buffer.from(
    ContainerLog.render(ContainerLog.select(log.from(0).entries, selection), selection.timestamps === true, true).bytes
  ).toString()

const filled = (...writes: ReadonlyArray<readonly ["stdout" | "stderr", string, number]>) => {
  const log = ContainerLog.make(1_000_000)
  for (const [output, line, at] of writes) log.append(output, bytes(line), at)
  return log
}

describe("a container's log", () => {
  it("has the lines of both outputs whole, in the order of their ends", () => {
    const log = filled(["stdout", "one ", 1], ["stderr", "problem\n", 2], ["stdout", "line\ntwo", 3])
    assert.strictEqual(text(log), "problem\none line\n")
    log.end(4)
    assert.strictEqual(text(log), "problem\none line\ntwo")
    assert.isTrue(log.hasEnded())
    log.end(5)
    assert.strictEqual(text(log), "problem\none line\ntwo")
  })

  it("puts the time before each line, and not within one that is too long", () => {
    const long = "x".repeat(20_000)
    const log = filled(["stdout", "a\nb\n", 0], ["stdout", `${long}\n`, 1500])
    assert.strictEqual(
      text(log, { timestamps: true }),
      `1970-01-01T00:00:00.000000000Z a\n1970-01-01T00:00:00.000000000Z b\n1970-01-01T00:00:01.500000000Z ${long}\n`
    )
  })

  it("gives the lines since a time", () => {
    const log = filled(["stdout", "old\n", 10], ["stdout", "new\n", 20])
    assert.strictEqual(text(log, { since: 20 }), "new\n")
  })

  it.prop("gives the last lines", {
    lines: Arbitrary.array(Arbitrary.schema(Schema.Literals(["", "a", "two", "third line"])), { maxLength: 8 }),
    cut: between(1, 9),
    tail: between(0, 10),
    open: Arbitrary.schema(Schema.Boolean)
  }, ({ cut, lines, open, tail }) => {
    const all = lines.map((line) => `${line}\n`).join("") + (open ? "open" : "")
    const log = ContainerLog.make(1_000_000)
    for (let i = 0; i < all.length; i += cut) log.append("stdout", bytes(all.slice(i, i + cut)), i)
    log.end(0)
    const expected = (open ? [...lines, "open"] : lines).slice(tail === 0 ? Number.POSITIVE_INFINITY : -tail)
    const suffix = open || expected.length === 0 ? "" : "\n"
    assert.strictEqual(text(log, { tailLines: tail }), expected.join("\n") + suffix)
  })

  it("keeps the latest of what does not fit, and its numbers", () => {
    const log = ContainerLog.make(10)
    const { next } = log.from(0)
    for (let i = 0; i < 10; i++) log.append("stdout", bytes(`${i}${i}${i}\n`), i)
    assert.strictEqual(text(log), "777\n888\n999\n")
    assert.strictEqual(log.from(next).next, 10)
    assert.strictEqual(log.from(9).entries.length, 1)
    assert.strictEqual(log.from(10).entries.length, 0)
  })
})
