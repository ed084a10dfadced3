import * as root from "eventferry";
import * as testing from "eventferry/testing";
import "eventferry/bc-events";
import "eventferry/slim";
import common from "./common.cjs";

common(root, testing);
