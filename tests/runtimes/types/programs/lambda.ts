import * as lambda from "eventferry/lambda";

export const adapters: object = lambda;
