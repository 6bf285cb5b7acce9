/**
 * OpenAPI v2 in protobuf, which kubectl up to 1.28 asks for before it creates anything: no more than the patch
 * operation of each kind, with the parameter that says that the server checks fields itself.
 *
 * The numbers are those of `openapi_v2.Document` of google/gnostic.
 */
import * as ResourceRow from "../store/ResourceRow.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"

type Row = ResourceRow.ResourceRow

// Asked for with `@v1.0`, which is no media type, and answered with a dot.
const mediaType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

const varint = (value: number): ReadonlyArray<number> =>
  value < 0x80 ? [value] : [value & 0x7f | 0x80, ...varint(value >>> 7)]

// A field of bytes, whatever message or text they are.
const field = (number: number, ...contents: ReadonlyArray<Uint8Array | string>): Uint8Array => {
  const content = Buffer.concat(contents.map((one) => (typeof one === "string" ? Buffer.from(one) : one)))
  return Buffer.concat([Uint8Array.from([...varint(number << 3 | 2), ...varint(content.length)]), content])
}

const queryParameter = (name: string): Uint8Array => {
  const schema = [field(2, "query"), field(4, name), field(6, "string")]
  // ParametersItem, Parameter, NonBodyParameter, QueryParameterSubSchema.
  return field(8, field(1, field(2, field(3, ...schema))))
}

const kindExtension = ({ group, kind, version }: Row): Uint8Array => {
  const yaml = `group: ${JSON.stringify(group)}\nkind: ${kind}\nversion: ${version}\n`
  return field(13, field(1, "x-kubernetes-group-version-kind"), field(2, field(2, yaml)))
}

const pathItem = (row: Row): Uint8Array => {
  const place = row.scope === "Namespaced" ? "/namespaces/{namespace}" : ""
  const patch = field(8, ...["dryRun", "fieldManager", "fieldValidation"].map(queryParameter), kindExtension(row))
  return field(2, field(1, `/${ResourceRow.root(row)}${place}/${row.plural}/{name}`), field(2, patch))
}

const document = (rows: ReadonlyArray<Row>): Uint8Array =>
  Buffer.concat([
    field(1, "2.0"),
    field(2, field(1, "Kubernetes"), field(2, "test")),
    field(8, ...rows.filter((row) => row.verbs.includes("patch")).map(pathItem))
  ])

/** Answers `/openapi/v2`; nothing for any other path. */
export const handle = (rows: ReadonlyArray<Row>, request: ServerRequest): ServerResponse | undefined =>
  request.url.pathname === "/openapi/v2"
    ? { _tag: "Body", status: 200, headers: { "Content-Type": mediaType }, body: document(rows) }
    : undefined
