export const text =
  '{"specversion":"1.0","id":"7f2c","source":"/shops/amber/orders","type":"com.example.order.created","time":"2026-01-01T00:00:00.000Z","data":{"orderId":7}}';
