import * as MicroTime from "@effect-k8s/core/MicroTime"
import * as Time from "@effect-k8s/core/Time"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"

const micros = (text: string): bigint | undefined => Option.getOrUndefined(MicroTime.parse(text))
const time = (text: string): string | undefined => Option.getOrUndefined(Option.map(Time.parse(text), Time.format))

describe("a time", () => {
  it("is read with any offset and fraction, and written in UTC with seconds", () => {
    for (
      const text of [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05z",
        "2026-01-02T03:04:05.999999999Z",
        "2026-01-02T05:34:05+02:30",
        "2026-01-01T22:04:05-05:00"
      ]
    ) assert.strictEqual(time(text), "2026-01-02T03:04:05Z", text)
    assert.strictEqual(time("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z")
    assert.strictEqual(time("1969-12-31T23:59:59.5Z"), "1969-12-31T23:59:59Z")
  })

  it("is none without an offset, or on a day that there is not", () => {
    for (
      const text of [
        "",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-02-30T00:00:00Z",
        "2026-01-02T24:00:01Z",
        "2026-01-02T03:04:05+02:99",
        "2026-01-02T03:04:05Z ",
        "soon"
      ]
    ) assert.isUndefined(time(text), text)
  })

  it("is ordered whatever its offset", () => {
    assert.strictEqual(Time.Order("2026-01-02T03:00:00+02:00", "2026-01-02T02:00:00Z"), -1)
    assert.strictEqual(Time.Order("2026-01-02T03:00:00+02:00", "2026-01-02T01:00:00Z"), 0)
    assert.strictEqual(Time.Order("2026-01-02T03:00:00.000002Z", "2026-01-02T03:00:00.000001Z"), 1)
    assert.strictEqual(Time.Order("none", "2026-01-02T03:00:00Z"), -1)
    assert.strictEqual(Time.Order("none", "neither"), 0)
  })
})

describe("a time with microseconds", () => {
  it("keeps all of them, and is written with six digits", () => {
    for (const text of ["2026-01-02T03:04:05.000070Z", "2026-01-02T03:04:05.000000Z", "1969-12-31T23:59:59.999999Z"]) {
      assert.strictEqual(MicroTime.format(micros(text) ?? 0n), text)
    }
    assert.strictEqual(micros("1970-01-01T00:00:00.1Z"), 100_000n)
    assert.strictEqual(micros("1970-01-01T00:00:00.1234567Z"), 123_456n)
    assert.isUndefined(micros("1970-01-01"))
  })

  it("can be made of a time", () => {
    assert.strictEqual(MicroTime.fromDateTime(DateTime.makeUnsafe(1234)), "1970-01-01T00:00:01.234000Z")
    assert.strictEqual(MicroTime.Order("2026-01-02T03:00:00.000002Z", "2026-01-02T03:00:00.000003Z"), -1)
  })
})
