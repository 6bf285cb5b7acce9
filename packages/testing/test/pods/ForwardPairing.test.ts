import * as ForwardPairing from "@effect-k8s/testing/pods/ForwardPairing"
import { assert, describe, it } from "@effect/vitest"

const headers = (streamtype: string, port = "80", requestid?: string) =>
  [["streamtype", streamtype], ["port", port], ...requestid === undefined ? [] : [["requestid", requestid] as const]]
    .map(([name = "", value = ""]) => [name, value] as const)

describe("P10: the streams of a forwarded connection", () => {
  it("are paired by the number of their request, whichever comes first, also between others", () => {
    const pairing = ForwardPairing.make()
    assert.deepStrictEqual(pairing.add(1, headers("error", "80", "0")), { _tag: "Wait", request: "0" })
    assert.deepStrictEqual(pairing.add(3, headers("data", "81", "1")), { _tag: "Wait", request: "1" })
    assert.deepStrictEqual(pairing.add(5, headers("error", "81", "1")), {
      _tag: "Pair",
      request: "1",
      port: 81,
      data: 3,
      error: 5
    })
    assert.deepStrictEqual(pairing.add(7, headers("data", "80", "0")), {
      _tag: "Pair",
      request: "0",
      port: 80,
      data: 7,
      error: 1
    })
    // A number that is forgotten may come again.
    assert.deepStrictEqual(pairing.add(9, headers("error", "80", "0")), { _tag: "Wait", request: "0" })
  })

  it("of very old clients are paired by their own numbers", () => {
    const pairing = ForwardPairing.make()
    pairing.add(1, headers("error"))
    assert.deepStrictEqual(pairing.add(3, headers("data")), {
      _tag: "Pair",
      request: "1",
      port: 80,
      data: 3,
      error: 1
    })
  })

  for (
    const [name, bad] of [
      ["another type", headers("stdin")],
      ["no type", [["port", "80"]] as const],
      ["no port", [["streamtype", "data"]] as const],
      ["port 0", headers("data", "0")],
      ["a port that is none", headers("data", "http")],
      ["a port that is too large", headers("data", "65536")]
    ] as const
  ) {
    it(`are refused with ${name}`, () => {
      assert.deepStrictEqual(ForwardPairing.make().add(1, bad), { _tag: "Refuse" })
    })
  }

  it("that come twice are told on the error stream that there is", () => {
    const pairing = ForwardPairing.make()
    pairing.add(1, headers("error", "80", "0"))
    assert.deepStrictEqual(pairing.add(3, headers("error", "80", "0")), {
      _tag: "Duplicate",
      text: "error processing stream for request 0: error stream already assigned",
      error: 1
    })
  })

  it("that wait for too long are forgotten", () => {
    const pairing = ForwardPairing.make()
    pairing.add(1, headers("error", "80", "0"))
    assert.deepStrictEqual(pairing.expire("0"), { error: 1 })
    assert.isUndefined(pairing.expire("0"))
    assert.deepStrictEqual(pairing.add(3, headers("data", "80", "0")), { _tag: "Wait", request: "0" })
  })
})
