import * as Base64 from "@effect-k8s/core/Base64"
import * as IntOrString from "@effect-k8s/core/IntOrString"
import * as JsonPatch from "@effect-k8s/core/JsonPatch"
import * as Selector from "@effect-k8s/core/Selector"
import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

describe("a number or a text", () => {
  it("is a count, or a percentage that is rounded up or down", () => {
    assert.deepStrictEqual(IntOrString.scaled("25%", 10, "up"), Option.some(3))
    assert.deepStrictEqual(IntOrString.scaled("25%", 10, "down"), Option.some(2))
    assert.deepStrictEqual(IntOrString.scaled("100%", 3, "up"), Option.some(3))
    assert.deepStrictEqual(IntOrString.scaled(7, 3, "up"), Option.some(7))
    for (const text of ["7", "", "%", "1.5%", "a%", "1%%"]) {
      assert.isTrue(Option.isNone(IntOrString.scaled(text, 3, "up")))
    }
  })

  it("is a port, or the name of one: digits are a name", () => {
    const ports = [{ name: "http", containerPort: 8080 }, { containerPort: 9 }]
    assert.deepStrictEqual(IntOrString.port("http", ports), Option.some(8080))
    assert.deepStrictEqual(IntOrString.port(80, ports), Option.some(80))
    assert.isTrue(Option.isNone(IntOrString.port("8080", ports)))
  })
})

describe("bytes", () => {
  it("are base64, and come back", () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    assert.deepStrictEqual(Base64.decode(Base64.encode(all)), Option.some(all))
    assert.deepStrictEqual(Base64.encodeAll({ a: "é", b: new Uint8Array([255]) }), { a: "w6k=", b: "/w==" })
    assert.deepStrictEqual(Base64.decodeText("w6k="), Option.some("é"))
  })

  it("that are none, or no text, are nothing", () => {
    for (const text of ["a", "a===", "-_==", "?"]) assert.isTrue(Option.isNone(Base64.decode(text)), text)
    assert.isTrue(Option.isNone(Base64.decodeText("/w==")))
  })
})

describe("a selector of labels", () => {
  it("has the text form of the API", () => {
    assert.deepStrictEqual(
      Selector.labels({
        app: "web",
        "example.com/tier": Selector.not("cache"),
        env: Selector.isIn("a", "b"),
        zone: Selector.notIn("c", "d"),
        on: Selector.exists,
        off: Selector.notExists,
        empty: ""
      }),
      Result.succeed("app=web,example.com/tier!=cache,env in (a,b),zone notin (c,d),on,!off,empty=")
    )
    assert.deepStrictEqual(Selector.labels({}), Result.succeed(""))
  })

  it("cannot select anything else, whatever the values are", () => {
    const wrong: ReadonlyArray<Selector.Labels> = [
      { app: "web,tier!=cache" },
      { app: "web)" },
      { app: "a b" },
      { "app=web,x": "y" },
      { "!app": Selector.exists },
      { "": "a" },
      { "a/b/c": "a" },
      { "-a": "b" },
      { app: "a".repeat(64) },
      { app: Selector.isIn() },
      { app: Selector.notIn("a", "b,c") }
    ]
    for (const labels of wrong) {
      assert.isTrue(Result.isFailure(Selector.labels(labels)), JSON.stringify(labels))
      assert.throws(() => Selector.labelsUnsafe(labels), /^the selector of /)
    }
  })

  it("is the text of one that an object holds", () => {
    assert.deepStrictEqual(
      Selector.fromObject({
        matchLabels: { app: "web" },
        matchExpressions: [
          { key: "a", operator: "In", values: ["x", "y"] },
          { key: "b", operator: "NotIn", values: ["z"] },
          { key: "c", operator: "Exists" },
          { key: "d", operator: "DoesNotExist" }
        ]
      }),
      Result.succeed("app=web,a in (x,y),b!=z,c,!d")
    )
    assert.isTrue(Result.isFailure(Selector.fromObject({ matchExpressions: [{ key: "a", operator: "Near" }] })))
  })
})

describe("a selector of fields", () => {
  it("takes any value", () => {
    assert.strictEqual(
      Selector.fields({ "metadata.name": "a,b=c\\d", "status.phase": Selector.notField("Running") }),
      "metadata.name=a\\,b\\=c\\\\d,status.phase!=Running"
    )
  })
})

describe("the path of a JSON patch", () => {
  it("has any names", () => {
    assert.strictEqual(
      JsonPatch.path("metadata", "annotations", "example.com/a~b", ""),
      "/metadata/annotations/example.com~1a~0b/"
    )
    assert.deepStrictEqual(
      [
        JsonPatch.test(JsonPatch.path("a"), 1),
        JsonPatch.add("/b/-", 2),
        JsonPatch.replace("/c", 3),
        JsonPatch.remove("/d")
      ],
      [
        { op: "test", path: "/a", value: 1 },
        { op: "add", path: "/b/-", value: 2 },
        { op: "replace", path: "/c", value: 3 },
        { op: "remove", path: "/d" }
      ]
    )
  })
})
