# Apache's Java client.
java_part java java-admin
