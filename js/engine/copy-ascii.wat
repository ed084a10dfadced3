;; Copies a short ASCII text from JavaScript into the memory of a module of the engine.
;; js/engine/ascii-copier.ts says when it is used. `npm run build` assembles it.
(module
  (type $units (array (mut i16)))
  (import "wasm:js-string" "intoCharCodeArray"
    (func $into_array (param externref (ref null $units) i32) (result i32)))
  (import "engine" "memory" (memory 0))
  (global $buffer (ref $units) (array.new_default $units (i32.const 16384)))

  ;; Copies `$length` UTF-16 units, at most 16,384, as one byte each to `$address`.
  ;; Returns `$length`, or -1 if a unit is not ASCII.
  (func (export "copy") (param $text externref) (param $length i32) (param $address i32) (result i32)
    (local $units (ref $units))
    (local $at i32)
    (local $unit i32)
    (local $all i32)
    (local.set $units (global.get $buffer))
    (drop (call $into_array (local.get $text) (local.get $units) (i32.const 0)))
    ;; Four units at a time: the counting of a loop of single ones took a fifth of the time.
    (block $few
      (loop $next_four
        (br_if $few (i32.gt_u (i32.add (local.get $at) (i32.const 4)) (local.get $length)))
        (local.set $unit (array.get_u $units (local.get $units) (local.get $at)))
        (local.set $all (i32.or (local.get $all) (local.get $unit)))
        (i32.store8 (i32.add (local.get $address) (local.get $at)) (local.get $unit))
        (local.set $unit (array.get_u $units (local.get $units) (i32.add (local.get $at) (i32.const 1))))
        (local.set $all (i32.or (local.get $all) (local.get $unit)))
        (i32.store8 offset=1 (i32.add (local.get $address) (local.get $at)) (local.get $unit))
        (local.set $unit (array.get_u $units (local.get $units) (i32.add (local.get $at) (i32.const 2))))
        (local.set $all (i32.or (local.get $all) (local.get $unit)))
        (i32.store8 offset=2 (i32.add (local.get $address) (local.get $at)) (local.get $unit))
        (local.set $unit (array.get_u $units (local.get $units) (i32.add (local.get $at) (i32.const 3))))
        (local.set $all (i32.or (local.get $all) (local.get $unit)))
        (i32.store8 offset=3 (i32.add (local.get $address) (local.get $at)) (local.get $unit))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next_four)))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $unit (array.get_u $units (local.get $units) (local.get $at)))
        (local.set $all (i32.or (local.get $all) (local.get $unit)))
        (i32.store8 (i32.add (local.get $address) (local.get $at)) (local.get $unit))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (select (i32.const -1) (local.get $length) (i32.and (local.get $all) (i32.const 0xff80)))))
