/**
 * The query of a request for a log, checked as the API server checks it.
 */
import * as Result from "effect/Result"
import { isTrue } from "../server/RequestInfo.ts"
import * as Failure from "../store/Failure.ts"

/** What of a log is asked for. */
export interface LogOptions {
  readonly container: string
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly sinceSeconds: number | undefined
  /** Milliseconds since 1970. */
  readonly sinceTime: number | undefined
  readonly tailLines: number | undefined
  readonly limitBytes: number | undefined
}

const integer = (query: URLSearchParams, name: string): Result.Result<number | undefined, Failure.Failure> => {
  const text = query.get(name)
  if (text === null) return Result.succeed(undefined)
  return /^[+-]?\d{1,18}$/.test(text)
    ? Result.succeed(Number(text))
    : Result.fail(Failure.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`))
}

const time = (query: URLSearchParams): Result.Result<number | undefined, Failure.Failure> => {
  const text = query.get("sinceTime")
  if (text === null || text === "") return Result.succeed(undefined)
  const millis = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  const quoted = JSON.stringify(text)
  return Number.isNaN(millis)
    ? Result.fail(Failure.badRequest(
      `parsing time ${quoted} as "2006-01-02T15:04:05Z07:00": cannot parse ${quoted} as "2006"`
    ))
    : Result.succeed(millis)
}

const atLeast = (field: string, value: number | undefined, least: 0 | 1): ReadonlyArray<Failure.Cause> => {
  if (value === undefined || value >= least) return []
  const bound = least === 0 ? "greater than or equal to 0" : "greater than 0"
  return [{ reason: "FieldValueInvalid", message: `Invalid value: ${value}: must be ${bound}`, field }]
}

const forbidden = (field: string, why: string): Failure.Cause => ({
  reason: "FieldValueForbidden",
  message: `Forbidden: ${why}`,
  field
})

/** Reads the query. Fails with 400 for what is no number or time, and with 422 for what is out of bounds. */
export const parse = (pod: string, query: URLSearchParams): Result.Result<LogOptions, Failure.Failure> =>
  Result.gen(function*() {
    const options: LogOptions = {
      container: query.get("container") ?? "",
      follow: isTrue(query.get("follow")),
      previous: isTrue(query.get("previous")),
      timestamps: isTrue(query.get("timestamps")),
      sinceSeconds: yield* integer(query, "sinceSeconds"),
      sinceTime: yield* time(query),
      tailLines: yield* integer(query, "tailLines"),
      limitBytes: yield* integer(query, "limitBytes")
    }
    const { limitBytes, sinceSeconds, sinceTime, tailLines } = options
    const causes = [
      ...atLeast("tailLines", tailLines, 0),
      ...atLeast("limitBytes", limitBytes, 1),
      ...sinceSeconds !== undefined && sinceTime !== undefined
        ? [forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified")]
        : atLeast("sinceSeconds", sinceSeconds, 1),
      ...query.has("stream") ? [forbidden("stream", "may not be specified")] : []
    ]
    if (causes.length > 0) {
      return yield* Result.fail(Failure.invalid({ group: "", kind: "PodLogOptions" }, pod, causes))
    }
    return options
  })
