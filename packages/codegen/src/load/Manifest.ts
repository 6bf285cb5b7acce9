/**
 * The documents of a file in YAML or JSON.
 */
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"
import { array, isObject } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"

/** A document of a file. */
export interface Manifest {
  /** Its place in the file, from 1; empty documents do not count. */
  readonly number: number
  /** Its place in the document, where that is a `List`: `items[0]`. */
  readonly path?: string | undefined
  readonly json: JsonObject
}

/** Why a document cannot be read. */
export interface Failure {
  readonly number: number
  readonly path?: string | undefined
  readonly problem: string
}

/**
 * The objects of a text, those of a `List` one by one. YAML is read as version 1.2: `=` is a text, and so is `yes`.
 *
 * @example
 * ```ts
 * import * as Manifest from "@effect-k8s/codegen/load/Manifest"
 * import * as Result from "effect/Result"
 *
 * const all = Result.getOrThrow(Manifest.parse("kind: A\n---\nkind: B"))
 * all.map(({ json, number }) => `${number}: ${json.kind}`) // => ["1: A", "2: B"]
 * ```
 */
export const parse = (text: string): Result.Result<ReadonlyArray<Manifest>, Failure> => {
  const manifests: Array<Manifest> = []
  for (const [i, document] of split(text).entries()) {
    const number = i + 1
    const read = parseOne(document)
    if (Result.isFailure(read)) return Result.fail({ number, problem: read.failure })
    if (isObject(read.success) && read.success.kind === "List") {
      for (const [i, json] of array(read.success.items).entries()) {
        const path = `items[${i}]`
        if (!isObject(json)) return Result.fail({ number, path, problem: "is not an object" })
        manifests.push({ number, path, json })
      }
    } else if (isObject(read.success)) manifests.push({ number, json: read.success })
    else return Result.fail({ number, problem: "is not an object" })
  }
  return Result.succeed(manifests)
}

interface Part {
  readonly text: string
  /** Lines before it. */
  readonly offset: number
}

// JSON is YAML, too, but large documents are JSON, and its errors know the column.
const parseOne = (part: Part): Result.Result<unknown, string> => {
  const read = (parse: (text: string) => unknown) =>
    Result.try({ try: () => parse(part.text), catch: (cause) => reason(part, cause) })
  const yaml = () => read(Yaml.parse)
  if (!/^\s*\{/.test(part.text)) return yaml()
  const json = read(JSON.parse)
  return Result.orElse(json, () => Result.orElse(yaml(), () => json))
}

/** The documents of a stream, without those that hold nothing. A marker may have the beginning of a document behind it. */
const split = (text: string): ReadonlyArray<Part> => {
  const parts: Array<{ readonly lines: Array<string>; readonly offset: number }> = [{ lines: [], offset: 0 }]
  for (const [i, line] of text.replace(/^\uFEFF/, "").split(/\r\n?|\n/).entries()) {
    const marker = /^(?:---|\.\.\.)(?=\s|$)/.exec(line)
    if (marker !== null) parts.push({ lines: [], offset: i })
    parts.at(-1)?.lines.push(marker === null ? line : line.slice(marker[0].length))
  }
  return parts.filter(({ lines }) => lines.some((line) => !/^\s*(?:#.*|%.*)?$/.test(line)))
    .map(({ lines, offset }) => ({ text: lines.join("\n"), offset }))
}

const reason = ({ offset, text }: Part, cause: unknown): string => {
  if (/\{\{.*\}\}/.test(text)) return "is a template of Helm; render it first"
  const message = cause instanceof Error ? cause.message : String(cause)
  const place = /^(.*) at line (\d+)$/s.exec(message)
  return place === null
    ? `is neither YAML nor JSON (${message})`
    : `is not YAML (${place[1]}, line ${Number(place[2]) + offset} of the file)`
}
